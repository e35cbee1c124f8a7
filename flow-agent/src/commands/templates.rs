//! The templates of letters and notices: the built-in ones, and those of the operator.

use std::collections::BTreeMap;

use crate::config::Config;
use crate::exit::{Code, Failure};
use crate::render::{TEMPLATE_NAMES, Templates};

/// The built-in templates, overridden by those of the operator.
#[expect(clippy::disallowed_methods, reason = "edge: files")]
pub(super) fn load(config: &Config) -> Result<Templates, Failure> {
    let mut overrides = BTreeMap::new();
    if let Some(directory) = &config.report.templates {
        for name in TEMPLATE_NAMES {
            let path = directory.join(name);
            match std::fs::read_to_string(&path) {
                Ok(text) => drop(overrides.insert(name.to_owned(), text)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && directory.is_dir() => {}
                Err(error) => {
                    let error = anyhow::Error::new(error).context(format!("failed to read `{}`", path.display()));
                    return Err(Failure::new(Code::Config, error));
                }
            }
        }
    }
    let templates = Templates::new(&overrides)?;
    // The tests cover the built-in templates. A mistake in an operator's template could otherwise remain unnoticed for
    // months, until the first letter that needs that part.
    if !overrides.is_empty() {
        templates.try_out()?;
    }
    Ok(templates)
}
