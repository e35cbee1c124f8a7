//! `flow-agent top`: the ports or users with the highest rates, live, from the answers of the running agent.

mod app;
mod details;
mod draw;
mod feed;
mod model;
mod paint;
mod plain;
mod terminal;

use std::io::{IsTerminal as _, stdin, stdout};
use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use crate::answer::client;
use crate::commands::show::look::{ColorChoice, LookArgs, has_colors, is_utf8, variable};
use crate::commands::{Common, ask, output};
use crate::exit::{Code, Failure};
use app::{AfterKey, App, Shown};
use feed::{Feed, News};
use terminal::FullScreen;

/// How long to wait for a key before looking for new answers again.
const PATIENCE: Duration = Duration::from_millis(20);

const HELP: &str = "`flow-agent check` says whether an agent is running; `flow-agent show` shows the figures on disk";

/// Show ports or users by their live rate; q quits, ? shows the keys
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What each row shows [default: user if the agent knows any, else port]
    #[arg(long, value_enum, value_name = "WHAT")]
    pub by: Option<RowBy>,
    /// Only rows that contain this text
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub filter: String,
    /// How often to query the agent
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = crate::commands::show::interval)]
    pub every: Duration,
    /// Without a terminal: the maximum number of rows of each answer
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub limit: usize,
    /// Without a terminal: exit after this many answers [default: never]
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
    #[command(flatten)]
    pub look: LookArgs,
}

/// What has a row of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RowBy {
    Port,
    User,
}

/// Shows the rates until a key, a signal or the end of the output stops it.
///
/// # Errors
/// Exit code 3 if the configuration cannot be read, 5 if no agent answers at the start.
pub fn execute(common: &Common, args: Args) -> Result<Code, Failure> {
    let config = common.load()?;
    let Some(socket) = ask::socket(&config) else {
        let what = format!("no agent has ever run for `{}`, or it has no socket", config.state_dir.display());
        return Err(Failure::new(Code::Store, anyhow::Error::msg(what)).help(HELP));
    };
    let first = client::now(&socket).map_err(|error| Failure::new(Code::Store, error).help(HELP))?;
    let first = model::TopSnapshot::of(first);
    let shown = match args.by {
        Some(RowBy::Port) => Shown::Ports,
        Some(RowBy::User) => Shown::Users,
        None if first.users.is_empty() => Shown::Ports,
        None => Shown::Users,
    };
    let is_terminal = stdout().is_terminal() && stdin().is_terminal();
    let color = match args.look.color {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => variable("NO_COLOR").is_none() && has_colors(),
    };
    let mut app = App::new(shown, args.look.units(config.show), is_utf8(), color);
    app.filter = args.filter.clone();
    app.take(Ok(first));
    let feed = Feed::start(&config, socket, args.every).context("failed to start a thread")?;
    if is_terminal { screen(&mut app, &feed) } else { text(&mut app, &feed, &args) }
}

fn screen(app: &mut App, feed: &Feed) -> Result<Code, Failure> {
    let mut screen = FullScreen::take().context("failed to set up the terminal")?;
    let mut is_new = true;
    while !screen.should_end() {
        if is_new {
            screen.terminal.draw(|frame| draw::draw(frame, app)).context("failed to draw")?;
            is_new = false;
        }
        while let Some(news) = feed.next(Duration::ZERO) {
            take(app, news);
            is_new = true;
        }
        if !event::poll(PATIENCE).context("failed to read keys")? {
            continue;
        }
        is_new = true;
        match event::read().context("failed to read keys")? {
            Event::Key(key) if key.kind != KeyEventKind::Release => match app.key(key) {
                AfterKey::Nothing => {}
                AfterKey::Quit => break,
                AfterKey::ReadHours(key) => feed.ask(key),
            },
            _ => {}
        }
    }
    Ok(Code::Done)
}

/// Without a terminal, prints one line for each of the first rows of every answer.
fn text(app: &mut App, feed: &Feed, args: &Args) -> Result<Code, Failure> {
    let mut answers = 0;
    while args.count.is_none_or(|count| answers < count) {
        let Some(news) = feed.next(Duration::from_secs(3_600)) else { break };
        if let News::Answer(answer) = &news
            && let Err(problem) = answer.as_ref()
        {
            output::complain(&format!("warning: {problem}"));
        }
        let is_answer = matches!(&news, News::Answer(answer) if answer.is_ok());
        take(app, news);
        if is_answer {
            answers += 1;
            if !output::print(&plain::lines(app, args.limit))? {
                break;
            }
        }
    }
    Ok(Code::Done)
}

fn take(app: &mut App, news: News) {
    match news {
        News::Answer(answer) => app.take(*answer),
        News::Hours(key, hours) => app.hours = Some((key, hours)),
    }
}

#[cfg(test)]
mod tests;
