//! PURE: quotas and dates of expiry that port files state, and who is limited by them.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::ledger::user::{OnQuota, User};

/// What the port files state about one owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatedLimit {
    /// Bytes in a billing month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_bytes: Option<u64>,
    /// The last day, in the zone of the configuration, on which the owner's traffic passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<NaiveDate>,
}

/// By owner; owners about whom nothing is stated are left out.
pub type StatedLimits = BTreeMap<String, StatedLimit>;

/// `users`, with the limits that port files state. Where the configuration gives a user a quota or an expiry date, it
/// takes precedence. Users whom only port files limit are added. A quota that only a file states drops traffic once it
/// is used up.
pub fn with_stated(users: &[User], stated: &StatedLimits) -> Vec<User> {
    let mut all = users.to_vec();
    for (name, limit) in stated {
        let known = all.iter().position(|user| user.name == *name);
        let user = match known {
            Some(known) => &mut all[known],
            None => {
                all.push(User { name: name.clone(), ..User::default() });
                all.last_mut().expect("it was just added")
            }
        };
        if user.quota_bytes.is_none() && limit.quota_bytes.is_some() {
            user.quota_bytes = limit.quota_bytes;
            user.on_quota = OnQuota::Drop;
        }
        user.expires = user.expires.or(limit.expires);
    }
    all
}

#[cfg(test)]
mod tests;
