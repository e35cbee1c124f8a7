//! EDGE kernel: forwards log lines of the programs to our own log.

use aya::Ebpf;
use aya_log::EbpfLogger;
use log::{Log, Metadata, Record};

use crate::backend::BackendError;

/// The ring buffer into which the programs write log lines.
pub struct ProgramLog(EbpfLogger<Tracing>);

impl ProgramLog {
    /// Takes the ring buffer out of the loaded object.
    ///
    /// # Errors
    /// When the object was built without one.
    pub fn open(ebpf: &mut Ebpf) -> Result<Self, BackendError> {
        EbpfLogger::init_with_logger(ebpf, Tracing)
            .map(Self)
            .map_err(|source| BackendError::Load { what: "log".into(), source: Box::new(source) })
    }

    /// Forwards all waiting lines.
    pub fn flush(&mut self) {
        self.0.flush();
    }
}

/// Forwards the lines to tracing.
struct Tracing;

impl Log for Tracing {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        tracing::info!(program = record.target(), "{}", record.args());
    }

    fn flush(&self) {}
}
