//! The pure frame parser.
