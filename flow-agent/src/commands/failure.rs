//! The exit codes of each module's errors, and the help that goes with them.

use crate::backend::BackendError;
use crate::config::ConfigError;
use crate::exit::{Code, Failure};
use crate::fleet::FleetError;
use crate::mail::{ComposeError, MailerError};
use crate::ports::wanted::WantedError;
use crate::render::TemplateError;
use crate::store::StoreError;

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let help = error.help();
        Self { help, ..Self::new(Code::Config, error) }
    }
}

impl From<BackendError> for Failure {
    fn from(error: BackendError) -> Self {
        let help = error.help();
        // Another agent's lock has the same code whether it is that of an interface or of a state directory.
        let is_locked = matches!(error, BackendError::Busy { .. });
        let code = if is_locked { Code::Store } else { Code::Kernel };
        Self { help, ..Self::new(code, error) }
    }
}

impl From<WantedError> for Failure {
    fn from(error: WantedError) -> Self {
        let help = error.help();
        Self::new(Code::Config, error).help(help)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let help = error.help();
        Self { help, ..Self::new(Code::Store, error) }
    }
}

impl From<TemplateError> for Failure {
    fn from(error: TemplateError) -> Self {
        Self::new(Code::Config, error).help("fix it, or remove it from the directory that `report.templates` names")
    }
}

impl From<ComposeError> for Failure {
    fn from(error: ComposeError) -> Self {
        Self::new(Code::Mail, error)
    }
}

impl From<MailerError> for Failure {
    fn from(error: MailerError) -> Self {
        let help = error.help();
        Self { help, ..Self::new(Code::Mail, error) }
    }
}

impl From<FleetError> for Failure {
    fn from(error: FleetError) -> Self {
        let help = error.help();
        let code = match &error {
            FleetError::Password { .. } | FleetError::CaFile { .. } | FleetError::NoCertificates => Code::Config,
            FleetError::Http { .. }
            | FleetError::Refused { .. }
            | FleetError::Answer { .. }
            | FleetError::Compress(_)
            | FleetError::TwoMachines { .. }
            | FleetError::Invalid(_) => Code::Incomplete,
        };
        Self { help, ..Self::new(code, error) }
    }
}
