//! `flow-agent fleet`: the tables in ClickHouse, and how far each node has got.

use super::ship::configured;
use super::{Common, output};
use crate::clock;
use crate::errors::chain;
use crate::exit::{Code, Failure};
use crate::fleet::schema::{self, Flavour, SCHEMA_VERSION, SchemaTarget};
use crate::fleet::status::{self, NodeStatus};
use crate::fleet::{Client, FleetError, RequestTiming};
use crate::render::table;

/// Create the tables in ClickHouse, and show the progress of each node
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: FleetCommand,
}

#[derive(Debug, clap::Subcommand)]
enum FleetCommand {
    /// Create the database, tables, views and roles; running it again changes nothing
    Init {
        /// Print the statements without connecting
        #[arg(long)]
        print: bool,
        /// With --print: those for ClickHouse 18.16, which has no codecs, constraints or roles
        #[arg(long, requires = "print", conflicts_with = "cluster")]
        reduced: bool,
        /// Create replicated tables on every server of this cluster
        #[arg(long, value_name = "NAME", value_parser = cluster)]
        cluster: Option<String>,
    },
    /// List the nodes: newest hour, lag, missing buckets, version, and alarms
    Status,
}

fn cluster(text: &str) -> Result<String, String> {
    let is_plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    match is_plain {
        true => Ok(text.to_owned()),
        false => Err("expected letters, digits, dots, dashes and underscores".to_owned()),
    }
}

/// Creates the tables, or lists the nodes. The code of `status` is 6 if there is an alarm, or if a node is more than
/// two hours behind.
///
/// # Errors
/// Exit code 3 for the configuration, 6 if ClickHouse cannot be reached or refuses.
pub fn execute(common: &Common, args: Args) -> Result<Code, Failure> {
    let config = common.load()?;
    match args.command {
        FleetCommand::Init { print: true, reduced, cluster } => {
            let database =
                config.fleet.as_ref().map_or_else(|| "flow_agent".to_owned(), |fleet| fleet.database.clone());
            let flavour = if reduced { Flavour::Reduced } else { Flavour::Full };
            output::print(&schema::text(&SchemaTarget { flavour, database, cluster }))?;
            Ok(Code::Done)
        }
        FleetCommand::Init { print: false, cluster, .. } => {
            init(&Client::new(configured(&config)?, RequestTiming::default())?, cluster)
        }
        FleetCommand::Status => show_status(&Client::new(configured(&config)?, RequestTiming::default())?),
    }
}

fn init(client: &Client, cluster: Option<String>) -> Result<Code, Failure> {
    let version = client.version()?;
    let Some(flavour) = Flavour::of(&version) else {
        let action = "query the version".to_owned();
        return Err(FleetError::Answer { action, url: client.url().to_owned(), found: version }.into());
    };
    if let Ok(found) = status::schema_version(client)
        && found > SCHEMA_VERSION
    {
        let error =
            anyhow::anyhow!("the tables have schema version {found}, but this program expects {SCHEMA_VERSION}");
        return Err(Failure::new(Code::Incomplete, error).help("install a newer flow-agent here"));
    }
    let target = SchemaTarget { flavour, database: client.database().to_owned(), cluster };
    for statement in schema::statements(&target) {
        client.query("create the tables", &statement)?;
    }
    let mut text = format!("ClickHouse {version}: the tables of schema version {SCHEMA_VERSION} exist\n");
    let roles = schema::role_statements(&target);
    let made = roles.iter().try_for_each(|statement| client.query("create the roles", statement).map(drop));
    match made {
        Ok(()) if roles.is_empty() => text += "this version has no roles: anybody who can log in can read and write\n",
        Ok(()) => text += "the roles `flow_ship` and `flow_read` exist; `--print` shows how to create users\n",
        // Administrators often reserve the right to create roles for themselves.
        Err(error) => {
            text += &format!(
                "the roles were not created ({}): let an administrator apply the last part of `--print`\n",
                chain(&error)
            );
        }
    }
    output::print(&text)?;
    Ok(Code::Done)
}

fn show_status(client: &Client) -> Result<Code, Failure> {
    let version = status::schema_version(client)?;
    let nodes = status::nodes(client)?;
    let now = clock::now().wall;
    let rows: Vec<[String; 6]> = nodes.iter().map(|node| row(node, now)).collect();
    let mut text = match nodes.is_empty() {
        true => "no node has sent anything yet\n".to_owned(),
        false => table::fleet(&rows),
    };
    if !status::is_known(version) {
        text += &format!("the tables have schema version {version}, but this program expects {SCHEMA_VERSION}\n");
    }
    output::print(&text)?;
    let is_fine = |node: &NodeStatus| !node.has_alarm() && now - node.newest <= super::ship::LAG;
    Ok(if status::is_known(version) && nodes.iter().all(is_fine) { Code::Done } else { Code::Incomplete })
}

fn row(node: &NodeStatus, now: chrono::DateTime<chrono::Utc>) -> [String; 6] {
    let lag = (now - node.newest).num_minutes().max(0);
    let mut alarms = Vec::new();
    if node.missing > 0 {
        alarms.push(format!("{} missing", node.missing));
    }
    if node.conflicting > 0 {
        alarms.push(format!("{} conflicting", node.conflicting));
    }
    if node.is_shared {
        alarms.push("two machines under this name".to_owned());
    }
    [
        node.node.clone(),
        node.newest.format("%Y-%m-%d %H:%M UTC").to_string(),
        format!("{} h {:02} min", lag / 60, lag % 60),
        node.buckets.to_string(),
        node.version.clone(),
        alarms.join(", "),
    ]
}
