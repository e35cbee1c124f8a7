//! PURE: the statements that create the tables, views and roles. They are the files of `packaging/clickhouse`,
//! embedded.

/// The version of the schema that this program writes and reads.
pub const SCHEMA_VERSION: u32 = 1;

const TABLES: &str = include_str!("../../packaging/clickhouse/1-tables.sql");
const VIEWS: &str = include_str!("../../packaging/clickhouse/1-views.sql");
const USERS: &str = include_str!("../../packaging/clickhouse/1-users.sql");
const REDUCED: &str = include_str!("../../packaging/clickhouse/1-reduced.sql");

/// The first release series of ClickHouse that supports everything in the full schema.
const FULL_SERIES: u32 = 22;

/// The capabilities of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// With codecs, constraints, roles and views.
    Full,
    /// The tables alone, for the 18.16 of Debian 12.
    Reduced,
}

impl Flavour {
    /// The flavour for a server of this version, such as `26.9.2.1`; `None` if that is not a version.
    pub fn of(version: &str) -> Option<Self> {
        let series: u32 = version.split('.').next()?.parse().ok()?;
        Some(if series >= FULL_SERIES { Self::Full } else { Self::Reduced })
    }
}

/// Where the schema is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaTarget {
    pub flavour: Flavour,
    pub database: String,
    /// If this is set, the tables are replicated, and created on every server of the cluster.
    pub cluster: Option<String>,
}

/// The statements for a person to read and apply, including comments.
pub fn text(target: &SchemaTarget) -> String {
    match target.flavour {
        Flavour::Full => [TABLES, VIEWS, USERS].map(|file| filled_in(file, target)).join("\n"),
        Flavour::Reduced => filled_in(REDUCED, target),
    }
}

/// The statements that create tables and views, each for one request. The last one records the version.
pub fn statements(target: &SchemaTarget) -> Vec<String> {
    let mut statements = match target.flavour {
        Flavour::Full => [TABLES, VIEWS].into_iter().flat_map(|file| split(&filled_in(file, target))).collect(),
        Flavour::Reduced => split(&filled_in(REDUCED, target)),
    };
    statements.push(format!("INSERT INTO {}.schema_version (version) VALUES ({SCHEMA_VERSION})", target.database));
    statements
}

/// The statements that create the roles; none if the server does not support roles.
pub fn role_statements(target: &SchemaTarget) -> Vec<String> {
    match target.flavour {
        Flavour::Full => split(&filled_in(USERS, target)),
        Flavour::Reduced => Vec::new(),
    }
}

fn filled_in(file: &str, target: &SchemaTarget) -> String {
    let replicated = if target.cluster.is_some() { "Replicated" } else { "" };
    let on_cluster = target.cluster.as_ref().map(|name| format!(" ON CLUSTER `{name}`")).unwrap_or_default();
    let settings = if target.cluster.is_some() { " SETTINGS insert_quorum = 'auto'" } else { "" };
    file.replace("{database}", &target.database)
        .replace(" {on_cluster}", &on_cluster)
        .replace(" {ship_settings}", settings)
        .replace("{replacing}", &format!("{replicated}ReplacingMergeTree"))
        .replace("{aggregating}", &format!("{replicated}AggregatingMergeTree"))
}

/// Splits a file into its statements. This relies on comments being on lines of their own, and on no literal containing
/// a semicolon.
fn split(file: &str) -> Vec<String> {
    let code: Vec<&str> = file.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
    code.join("\n").split(';').map(str::trim).filter(|statement| !statement.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
