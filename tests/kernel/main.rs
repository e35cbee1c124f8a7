//! kernel tests.
