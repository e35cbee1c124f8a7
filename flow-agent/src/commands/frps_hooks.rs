//! `flow-agent frps-hooks`: listens to frps, and keeps the ports of its clients in a list that the agent reads.
//!
//! It is a separate process: whatever happens to it, the agent continues with the list as it is.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use hyper::body::Bytes;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::Common;
use crate::answer::Answer;
use crate::answer::hooks::{Hearer, hear};
use crate::clock;
use crate::errors::chain;
use crate::exit::{Code, Failure};
use crate::ports::content::{MAX_BYTES, Problem, content};
use crate::ports::formats::frps_hooks::{HookOutcome, Proxies};
use crate::store::disk::{RealDisk, create_dirs, parent, replace};

/// Listen to frps, and write the ports of its clients to a list for the agent
///
/// frps calls it through its plugin hooks; docs/panels.md shows both configurations. It always tells frps at once to
/// continue. The agent itself neither listens to frps nor waits for it.
#[derive(Debug, clap::Args)]
#[expect(rustdoc::broken_intra_doc_links, reason = "the help names a table of TOML as it is written there")]
pub struct Args {
    /// Where to listen: an address of this machine, the same as `addr` in [[httpPlugins]]
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7501")]
    listen: SocketAddr,
    /// The path in [[httpPlugins]]. If others have a shell on this machine, use one that they cannot guess
    #[arg(long, value_name = "PATH", default_value = "/flow-agent", conflicts_with = "path_file")]
    path: String,
    /// Read the path from the first line of this file, so that no process list shows it
    #[arg(long, value_name = "FILE")]
    path_file: Option<PathBuf>,
    /// The list to write, for `ports.files` with the format "frps"
    #[arg(long, value_name = "FILE", default_value = "/var/lib/flow-agent-lists/frps-hooks.json")]
    list: PathBuf,
}

/// The answer to frps, which tells it to proceed as if it had not asked.
const GO_ON: &str = "{\"reject\":false,\"unchange\":true}";

/// How long writing the list may delay the answer to frps.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often closed proxies are expired, and writing the list is retried if it failed.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Listens until it is stopped.
///
/// # Errors
/// With code 2 for an address that other machines can reach, 3 for the path, 4 if it cannot listen, 5 for the list.
pub fn execute(_common: &Common, args: Args) -> Result<Code, Failure> {
    if !args.listen.ip().to_canonical().is_loopback() {
        let error = anyhow::anyhow!("`{}` can be reached from other machines", args.listen);
        return Err(Failure::new(Code::Usage, error).help("listen on an address such as 127.0.0.1:7501 or [::1]:7501"));
    }
    let path = path(&args)?;
    let keeper = Keeper::open(&args.list)?;
    let listener = TcpListener::bind(args.listen)
        .with_context(|| format!("failed to listen on {}", args.listen))
        .map_err(|error| Failure::new(Code::Kernel, error))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.context("failed to start the runtime").map_err(|error| Failure::new(Code::Unexpected, error))?;
    tracing::info!(address = %args.listen, list = %args.list.display(), "listening to frps");
    let done = runtime.block_on(async {
        tokio::spawn(keep(keeper.clone()));
        hear(listener, &path, Arc::new(keeper)).await
    });
    done.context("failed to listen").map_err(|error| Failure::new(Code::Unexpected, error))?;
    Ok(Code::Done)
}

/// The path that requests must have.
fn path(args: &Args) -> Result<String, Failure> {
    let refused = |error: anyhow::Error| Failure::new(Code::Config, error);
    let path = match &args.path_file {
        None => args.path.clone(),
        Some(file) => {
            let text = content(file, &mut MAX_BYTES.clone())
                .with_context(|| format!("failed to read the path in `{}`", file.display()))
                .map_err(refused)?;
            String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned()
        }
    };
    if !path.starts_with('/') {
        return Err(refused(anyhow::anyhow!("the path {path:?} does not begin with `/`")));
    }
    Ok(path)
}

/// The list, shared by the requests and the periodic task.
#[derive(Clone)]
struct Keeper(Arc<Mutex<Kept>>);

struct Kept {
    proxies: Proxies,
    list: PathBuf,
    is_written: bool,
}

impl Keeper {
    /// Continues with the list that the last process left.
    fn open(list: &Path) -> Result<Self, Failure> {
        let refused = |error: anyhow::Error| {
            Failure::new(Code::Store, error.context(format!("failed to read the existing list `{}`", list.display())))
                .help("choose another file with --list, or remove this one")
        };
        let proxies = match content(list, &mut MAX_BYTES.clone()) {
            Ok(text) => Proxies::from_list(&text).map_err(|error| refused(error.into()))?,
            Err(Problem::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => Proxies::default(),
            Err(error) => return Err(refused(error.into())),
        };
        let mut kept = Kept { proxies, list: list.to_owned(), is_written: false };
        create_dirs(&RealDisk, parent(list)).and_then(|()| kept.write()).map_err(|error| refused(error.into()))?;
        Ok(Self(Arc::new(Mutex::new(kept))))
    }

    fn change(&self, change: impl FnOnce(&mut Proxies, Duration) -> HookOutcome) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match change(&mut kept.proxies, Duration::from_nanos(clock::now().boot_ns)) {
            HookOutcome::Changed => kept.is_written = false,
            HookOutcome::Nothing => {}
            HookOutcome::NotListed(why) => tracing::warn!("{why}"),
        }
        if !kept.is_written
            && let Err(error) = kept.write()
        {
            tracing::error!(list = %kept.list.display(), error = chain(&error), "failed to write the list; will retry");
        }
    }
}

impl Kept {
    fn write(&mut self) -> std::io::Result<()> {
        replace(&RealDisk, &self.list, self.proxies.list().as_bytes())?;
        self.is_written = true;
        Ok(())
    }
}

impl Hearer for Keeper {
    async fn hear(&self, body: Bytes) -> Answer {
        let keeper = self.clone();
        let work = tokio::task::spawn_blocking(move || keeper.change(|proxies, now| proxies.take(&body, now)));
        if timeout(PATIENCE, work).await.is_err() {
            tracing::warn!("the list is not written yet: the disk is slow");
        }
        Answer { status: 200, content_type: Answer::JSON, body: GO_ON.into() }
    }
}

async fn keep(keeper: Keeper) {
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        let keeper = keeper.clone();
        // If this fails, the failure is logged there.
        drop(tokio::task::spawn_blocking(move || keeper.change(Proxies::expire)).await);
    }
}
