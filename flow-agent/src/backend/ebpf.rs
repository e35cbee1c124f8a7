//! The eBPF backend.
