//! The instances that have rules in the tables of this network namespace, including those of other users.

use std::collections::BTreeSet;

use super::host::search_path::search_path;
use super::host::tools::{Quiet, Tools};
use super::saved::sets;
use crate::backend::BackendError;

/// The tags of all instances that have chains here; see [`instance_tag`](super::model::set_name::instance_tag).
///
/// # Errors
/// When a table that this host uses cannot be read.
pub fn instances() -> Result<BTreeSet<String>, BackendError> {
    let mut tags = BTreeSet::new();
    for tools in Tools::everywhere(&search_path()) {
        let read = Quiet::wait(&[&tools]).and_then(|quiet| {
            tools.save(&quiet, "", |table| {
                sets::sets(table).keys().map(|name| name.instance().to_owned()).collect::<Vec<_>>()
            })
        });
        match read {
            Ok(found) => tags.extend(found),
            // If nobody uses a variant, its kernel side may be missing.
            Err(error) if !tools.is_in_use => tracing::debug!(%error, "not inspected"),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(tags)
}
