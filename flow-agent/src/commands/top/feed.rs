//! Asks the agent at regular intervals on a separate thread, so that keys are handled without delay.

use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use super::model::{RowKey, TopSnapshot};
use crate::answer::client;
use crate::clock;
use crate::commands::show::hours::last_24;
use crate::commands::show::narrow::Narrow;
use crate::commands::show::period::ShowContext;
use crate::commands::show::read::Log;
use crate::config::Config;
use crate::errors;
use crate::exit::Failure;
use crate::ledger::unsealed::Settings;
use crate::render::screen::first::ChartHour;
use crate::store::StateDir;

/// What the thread sends.
pub enum News {
    Answer(Box<Result<TopSnapshot, String>>),
    Hours(RowKey, Vec<ChartHour>),
}

/// The connection to the thread, which ends when this is dropped.
pub struct Feed {
    questions: Sender<RowKey>,
    news: Receiver<News>,
}

impl Feed {
    /// Asks the agent at `socket` every `interval`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(config: &Config, socket: PathBuf, interval: Duration) -> std::io::Result<Self> {
        let (questions, asked) = mpsc::channel();
        let (tell, news) = mpsc::channel();
        let config = config.clone();
        thread::Builder::new().name("feed".to_owned()).spawn(move || run(&config, &socket, interval, &asked, &tell))?;
        Ok(Self { questions, news })
    }

    /// The next news, if there is any within `patience`.
    pub fn next(&self, patience: Duration) -> Option<News> {
        self.news.recv_timeout(patience).ok()
    }

    /// Asks for the last 24 hours of a port or user.
    pub fn ask(&self, key: RowKey) {
        // Sending cannot fail, because the thread only ends when this is dropped.
        drop(self.questions.send(key));
    }
}

fn run(config: &Config, socket: &std::path::Path, interval: Duration, asked: &Receiver<RowKey>, tell: &Sender<News>) {
    let mut next = clock::now().boot_ns;
    loop {
        let answer = client::now(socket).map(TopSnapshot::of).map_err(|error| errors::chain(&error));
        if tell.send(News::Answer(Box::new(answer))).is_err() {
            return;
        }
        next += u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
        loop {
            let wait = Duration::from_nanos(next.saturating_sub(clock::now().boot_ns));
            match asked.recv_timeout(wait) {
                Ok(key) => {
                    let hours = hours(config, &key).unwrap_or_default();
                    if tell.send(News::Hours(key, hours)).is_err() {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        // After a slow answer, missed questions are not made up for.
        next = next.max(clock::now().boot_ns);
    }
}

/// The last 24 hours of a port or user, from the files.
fn hours(config: &Config, key: &RowKey) -> Result<Vec<ChartHour>, Failure> {
    let narrow = match key {
        RowKey::Port(port) => Narrow { ports: Some([*port].into()), user: None },
        RowKey::User(user) => Narrow { ports: None, user: Some(user.clone()) },
    };
    let settings = Settings { node: config.node.clone(), zone: config.timezone, bucket: config.count.bucket };
    let context =
        ShowContext { now: clock::now().wall, zone: config.timezone, month_start_day: config.month_start_day };
    let mut log = Log::new(StateDir::new(&config.state_dir), settings)?.narrowed(narrow);
    last_24(&mut log, &context)
}
