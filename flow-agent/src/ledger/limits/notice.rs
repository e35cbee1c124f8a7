//! Notices: what somebody is told of, apart from the monthly letters.

use serde::{Deserialize, Serialize};

/// What a notice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// A user has used a certain part of the quota.
    Warn,
    /// A user will have used the quota up before the month ends, if it goes on like this.
    Forecast,
    /// The quota of a user is used up, and the user's traffic is dropped.
    Cut,
    /// A user's last day is near, or over.
    Expire,
    /// There is time in which a node did not count.
    Gap,
    /// A node is not gathered any more, or its agent does not count.
    Node,
    /// The file system of the logs is almost full.
    Disk,
}

impl Event {
    pub const ALL: [Self; 7] = [Self::Warn, Self::Forecast, Self::Cut, Self::Expire, Self::Gap, Self::Node, Self::Disk];
}
