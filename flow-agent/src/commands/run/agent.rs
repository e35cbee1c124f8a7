//! The scheduler of the agent: what is done when, and which events it waits for.

use std::sync::Arc;
use std::time::Duration;

use super::asks::{About, Ask};
use super::day_rollups::DayRollups;
use super::elsewhere::ElsewhereWatch;
use super::limits::NodeLimits;
use super::nat::NatWatch;
use super::recorder::Recorder;
use super::say;
use super::timers::{INSPECT_EVERY, LOOK_ELSEWHERE_EVERY, LOOK_EVERY, LOOK_FOR_NAT_EVERY, Timers, after};
use super::watched::{Heard, Watched};
use crate::clock;
use crate::config::Config;
use crate::exit::Failure;
use crate::ledger::calendar;
use crate::ledger::reading::Moment;

/// How soon to check again whether buckets can be closed, if they could not.
const HEARTBEAT_RETRY: Duration = Duration::from_secs(1);

/// Counts until it is told to stop.
pub struct Agent {
    config: Arc<Config>,
    recorder: Recorder,
    watched: Watched,
    nat: NatWatch,
    elsewhere: ElsewhereWatch,
    rollups: DayRollups,
    limits: NodeLimits,
    timers: Timers,
    /// How often the service manager is told that all is well; `None` if it does not ask for it.
    heartbeat: Option<Duration>,
}

impl Agent {
    /// Continues with what `recorder` has begun, and starts to count the ports that are wanted by now. `must_close`
    /// says that ports are draining, so that the bucket with their last bytes must be closed first.
    pub fn begin(config: Config, recorder: Recorder, watched: Watched, must_close: bool) -> Self {
        let timers = Timers::start(clock::now(), &config);
        let (nat, elsewhere, rollups) = (NatWatch::default(), ElsewhereWatch::default(), DayRollups::default());
        // Three times as often as the service manager requires.
        let heartbeat = sd_notify::watchdog_enabled().map(|within| within / 3);
        let limits = NodeLimits::new(&config);
        let config = Arc::new(config);
        let mut agent = Self { config, recorder, watched, nat, elsewhere, rollups, limits, timers, heartbeat };
        if must_close {
            agent.recorder.close();
        }
        agent.apply_ports();
        agent.remember_ports();
        agent.recorder.checkpoint();
        agent.attend_limits();
        agent
    }

    /// Tells the person at the terminal and the service manager that counting has begun.
    pub fn say_begin(&self) {
        let (identity, interfaces) = (self.recorder.identity(), self.recorder.interfaces());
        let (owners, zone, logs) = (self.recorder.owners(), self.config.timezone, self.config.state_dir.join("hourly"));
        say::tell(&say::begin(&self.config.node, owners, &interfaces, &identity, zone, &logs));
        tell_service_manager(&[sd_notify::NotifyState::Ready]);
    }

    /// How long there is nothing to do.
    pub fn pause(&self) -> Duration {
        let now = clock::now();
        let mut next =
            self.timers.checkpoint_at.min(self.timers.inspect_at).min(self.timers.nat_at).min(self.timers.elsewhere_at);
        if self.watched.must_look() {
            next = next.min(self.timers.look_at);
        }
        next = next.min(self.limits.at());
        if self.heartbeat.is_some() {
            // Not immediately if no bucket could be closed just now.
            next = next.min(self.timers.heartbeat_at.max(after(now, HEARTBEAT_RETRY)));
        }
        if self.recorder.has_waiting() {
            next = next.min(self.recorder.retry_at());
        }
        let until = |at: u64| Duration::from_nanos(at.saturating_sub(now.boot_ns));
        // The wall clock may be set while we wait; the next inspection is soon enough to notice it.
        let until_end = (self.recorder.planned_end() - now.wall).to_std().unwrap_or_default();
        // If a bucket is due but its counters could not be read, do not retry at once.
        until(next).min(until_end.max(until(self.recorder.retry_at())))
    }

    /// Does what is due.
    ///
    /// # Errors
    /// When counting cannot continue in this process; a restart may help.
    pub fn tick(&mut self) -> Result<(), Failure> {
        let now = clock::now();
        if now.boot_ns >= self.timers.inspect_at {
            self.inspect();
            self.attend_state();
        }
        if self.recorder.must_close(now) {
            self.timers.inspect_at = after(now, INSPECT_EVERY);
            self.recorder.close();
        }
        if self.recorder.has_waiting() && now.boot_ns >= self.recorder.retry_at() {
            self.recorder.write();
        }
        if now.boot_ns >= self.timers.checkpoint_at {
            self.timers.checkpoint_at = after(now, self.config.count.checkpoint);
            self.recorder.checkpoint();
        }
        if self.watched.must_look() && now.boot_ns >= self.timers.look_at {
            self.timers.look_at = after(now, LOOK_EVERY);
            self.watched.begin_look(clock::now());
        } else if !self.recorder.has_waiting() && self.recorder.differs_from(self.watched.owners()) {
            // A port that is wanted again had to wait until its last line was written, or the kernel refused.
            self.apply_ports();
        }
        if now.boot_ns >= self.timers.nat_at {
            self.timers.nat_at = after(now, LOOK_FOR_NAT_EVERY);
            self.nat.look(self.recorder.ports());
        }
        if now.boot_ns >= self.timers.elsewhere_at {
            self.timers.elsewhere_at = after(now, LOOK_ELSEWHERE_EVERY);
            self.elsewhere.look(self.recorder.ports(), self.recorder.interfaces());
        }
        self.attend_dates();
        self.rollups.attend(&self.config, now);
        if self.recorder.take_new_counters() {
            self.limits.changed();
        }
        if now.boot_ns >= self.limits.at() {
            self.attend_limits();
        }
        if let Some(failure) = self.recorder.take_fatal() {
            return Err(failure);
        }
        self.send_heartbeat(now);
        Ok(())
    }

    /// Writes to the state directory again what belongs there, if it was replaced by another one.
    pub(super) fn attend_state(&mut self) {
        if self.recorder.attend_state() {
            self.remember_ports();
            self.recorder.close();
            self.recorder.checkpoint();
        }
    }

    /// Tells the service manager that all is well if it asks for that, but only while buckets can be closed.
    fn send_heartbeat(&mut self, now: Moment) {
        let Some(every) = self.heartbeat else { return };
        if now.boot_ns >= self.timers.heartbeat_at && self.recorder.can_close() {
            self.timers.heartbeat_at = after(now, every);
            tell_service_manager(&[sd_notify::NotifyState::Watchdog]);
        }
    }

    /// Checks whether everything that was attached still is.
    pub fn inspect(&mut self) {
        self.timers.inspect_at = after(clock::now(), INSPECT_EVERY);
        self.recorder.inspect();
    }

    /// Returns when a port file or the users' file may have changed, or when a look at the ports has ended.
    /// Cancel-safe.
    pub async fn hear_of_ports(&mut self) -> Heard {
        self.watched.hear().await
    }

    /// Acts on what [`Agent::hear_of_ports`] returned.
    pub fn attend_ports(&mut self, heard: Heard) {
        match heard {
            Heard::Changed => self.watched.begin_look(clock::now()),
            Heard::Looked(looked) => {
                if self.watched.take(looked, clock::now()) {
                    self.remember_ports();
                    self.apply_ports();
                }
                // The users' file may have changed quotas while the ports stay the same.
                self.limits.users_changed();
            }
        }
    }

    /// The configuration that is in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The random id of the state directory.
    pub fn instance(&self) -> &str {
        self.recorder.instance()
    }

    /// Answers a question from the answering thread. The one who asked may have gone in the meantime.
    pub fn answer(&mut self, ask: Ask) {
        let users = self.watched.users();
        let limited = users.iter().filter(|user| user.is_limited_on(&self.config.node));
        let refused = limited.filter(|user| self.recorder.refuses(&user.name)).map(|user| user.name.clone());
        let about = About {
            config: Arc::clone(&self.config),
            refused: refused.collect(),
            users: Arc::clone(&users),
            complaints: self.watched.complaints(),
            problems: self.watched.problems(),
        };
        match ask {
            Ask::State(reply) => drop(reply.send(self.recorder.state_now(about))),
            Ask::Snapshot(reply) => drop(reply.send(self.recorder.look(about))),
        }
    }

    /// Applies the ports, users, limits, answers and retention of a new configuration. Everything else takes effect at a restart,
    /// which loses nothing.
    pub fn reconfigure(&mut self, config: Config) {
        let mut same = Config::clone(&self.config);
        same.ports.clone_from(&config.ports);
        same.users.clone_from(&config.users);
        same.users_file.clone_from(&config.users_file);
        same.limits.clone_from(&config.limits);
        same.report.billed = config.report.billed;
        same.answer.clone_from(&config.answer);
        // What may be deleted, and what must have been sent before.
        same.retention = config.retention;
        same.fleet.clone_from(&config.fleet);
        let left = need_restart(&same, &config);
        if !left.is_empty() {
            tracing::warn!(
                keys = left.join(", "),
                "these changes need a restart, which loses nothing; all others are applied"
            );
        }
        self.config = Arc::new(same);
        self.watched.reconfigure(config);
        self.limits.reloaded();
        self.timers.nat_at = clock::now().boot_ns;
        self.watched.begin_look(clock::now());
    }

    /// Writes a last bucket and rolls up its day, waiting at most `patience` for the roll-up. The counters remain and
    /// continue to count.
    ///
    /// # Errors
    /// Exit code 4 when the counters cannot be read, 5 when the bucket cannot be written. In both cases the counters
    /// still hold it.
    pub fn leave(&mut self, patience: Duration) -> Result<(), Failure> {
        tell_service_manager(&[sd_notify::NotifyState::Stopping]);
        self.recorder.leave()?;
        self.attend_dates();
        self.rollups.finish(&self.config, patience);
        Ok(())
    }

    fn apply_ports(&mut self) {
        self.recorder.apply(self.watched.owners());
        self.limits.changed();
    }

    /// Notes which days were written to.
    fn attend_dates(&mut self) {
        let dates = self.recorder.take_dates();
        self.limits.sealed(&dates);
        self.rollups.owe(dates);
    }

    fn attend_limits(&mut self) {
        self.attend_dates();
        let users = self.watched.users();
        self.limits.attend(&self.config, &users, &mut self.recorder, clock::now());
    }

    /// Stores the port list, for a later start at which a port file is torn or missing.
    fn remember_ports(&self) {
        let at = calendar::local(self.config.timezone, clock::now().wall);
        self.recorder.remember_ports(&self.watched.remember(at));
    }
}

/// The keys that differ and that an agent applies only when it starts.
fn need_restart(config: &Config, new: &Config) -> Vec<&'static str> {
    let differ = [
        ("node", config.node != new.node),
        ("state_dir", config.state_dir != new.state_dir),
        ("timezone", config.timezone != new.timezone),
        ("month_start_day", config.month_start_day != new.month_start_day),
        ("bpffs", config.bpffs != new.bpffs),
        ("[count]", config.count != new.count),
    ];
    differ.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
}

fn tell_service_manager(state: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "failed to notify the service manager");
    }
}

#[cfg(test)]
impl Agent {
    pub(super) fn recorder(&mut self) -> &mut Recorder {
        &mut self.recorder
    }
}
