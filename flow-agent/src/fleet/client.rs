//! Requests to ClickHouse's HTTP interface: inserts and queries, and what their answers mean.
#![expect(clippy::disallowed_methods, reason = "edge: files")]

use std::fmt::Write as _;
use std::time::Duration;

use ureq::http::{HeaderMap, Response};
use ureq::{Agent, Body};

use super::error::FleetError;
use super::insert::Insert;
use super::settings::FleetConfig;
use super::sql::percent_encoded;
use super::tls;

/// The maximum size of an answer.
const MOST_ANSWER_BYTES: u64 = 1 << 30;

/// Servers refuse longer queries by default; some also refuse that a user changes settings, so they are asked for more
/// only where it is needed.
const USUAL_QUERY_BYTES: usize = 200 << 10;

/// At most this much of an error message is shown.
const MOST_MESSAGE_CHARS: usize = 500;

/// How long a request may take.
#[derive(Clone, Copy, Debug)]
pub struct RequestTiming {
    pub connect: Duration,
    pub request: Duration,
}

impl Default for RequestTiming {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), request: Duration::from_secs(600) }
    }
}

/// A client of one server. A request is complete when its function returns, so only one is in progress at a time.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    url: String,
    database: String,
    user: Option<String>,
    password: Option<String>,
    /// The settings for inserts, as URL parameters, as far as the server supports them; determined once.
    insert_settings: Option<&'static str>,
}

/// Unknown fields are an error, and a missing value is not taken for zero.
const INSERT_SETTINGS: &str = "input_format_skip_unknown_fields=0&input_format_null_as_default=0\
                               &input_format_defaults_for_omitted_fields=1&async_insert=0&wait_for_async_insert=1\
                               &date_time_input_format=basic";

/// The settings for older servers, which do not support all of these.
const OLD_INSERT_SETTINGS: &str = "input_format_skip_unknown_fields=0";

/// The first release series that supports [`INSERT_SETTINGS`].
const MODERN_SERIES: u32 = 22;

impl Client {
    /// Reads the password and the certificates, without connecting yet.
    ///
    /// # Errors
    /// When one of these files cannot be used.
    pub fn new(config: &FleetConfig, timing: RequestTiming) -> Result<Self, FleetError> {
        let mut settings = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!("flow-agent/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(timing.connect))
            .timeout_global(Some(timing.request));
        if config.url.tls {
            settings = settings.https_only(true).tls_config(tls::config(config.ca_file.as_deref())?);
        }
        let password = config.password_file.as_ref().map(|path| {
            let text =
                std::fs::read_to_string(path).map_err(|source| FleetError::Password { path: path.clone(), source })?;
            Ok::<_, FleetError>(text.trim_end_matches(['\r', '\n']).to_owned())
        });
        Ok(Self {
            agent: settings.build().new_agent(),
            url: config.url.to_string(),
            database: config.database.clone(),
            user: config.user.clone(),
            password: password.transpose()?,
            insert_settings: None,
        })
    }

    /// The database that holds the tables.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The server's address, for messages.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The version of the server, such as `26.9.1.1`.
    ///
    /// # Errors
    /// When the server cannot be reached, or refuses the login.
    pub fn version(&self) -> Result<String, FleetError> {
        Ok(self.query("query the version", "SELECT version()")?.trim().to_owned())
    }

    /// Inserts the rows, and returns once the server has acknowledged them.
    ///
    /// # Errors
    /// Unless the server states clearly that all rows were inserted. They may have been inserted all the same, but
    /// sending them again is harmless.
    pub fn insert(&mut self, insert: Insert) -> Result<(), FleetError> {
        let settings = self.insert_settings()?;
        let action = format!("insert into `{}`", insert.table());
        let query = format!("INSERT INTO `{}`.`{}` FORMAT JSONEachRow", self.database, insert.table());
        let url = format!("{}/?{settings}&wait_end_of_query=1&query={}", self.url, percent_encoded(&query));
        let body = insert.finish()?;
        let request = self.with_login(self.agent.post(url)).header("Content-Encoding", "gzip");
        let answer = self.answer(&action, request.send(&body[..]))?;
        match answer.trim().is_empty() {
            true => Ok(()),
            false => Err(FleetError::Answer { action, url: self.url.clone(), found: printable(&answer) }),
        }
    }

    /// Runs a query or a statement and returns the complete answer.
    ///
    /// # Errors
    /// When the server cannot be reached or reports an error, even after it has begun to answer.
    pub fn query(&self, action: &str, sql: &str) -> Result<String, FleetError> {
        // The server answers only once the whole result is known, so that no error can come in the middle of it.
        let mut url = format!("{}/?wait_end_of_query=1", self.url);
        if sql.len() > USUAL_QUERY_BYTES {
            let _ = write!(url, "&max_query_size={}", 2 * sql.len());
        }
        self.answer(action, self.with_login(self.agent.post(url)).send(sql))
    }

    fn insert_settings(&mut self) -> Result<&'static str, FleetError> {
        if let Some(settings) = self.insert_settings {
            return Ok(settings);
        }
        let version = self.version()?;
        let series = version.split('.').next().and_then(|series| series.parse::<u32>().ok());
        let settings = match series {
            Some(series) if series >= MODERN_SERIES => INSERT_SETTINGS,
            Some(_) => OLD_INSERT_SETTINGS,
            None => {
                let action = "query the version".to_owned();
                return Err(FleetError::Answer { action, url: self.url.clone(), found: printable(&version) });
            }
        };
        self.insert_settings = Some(settings);
        Ok(settings)
    }

    fn with_login<B>(&self, mut request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        if let Some(user) = &self.user {
            request = request.header("X-ClickHouse-User", user);
        }
        if let Some(password) = &self.password {
            request = request.header("X-ClickHouse-Key", password);
        }
        request
    }

    fn answer(&self, action: &str, sent: Result<Response<Body>, ureq::Error>) -> Result<String, FleetError> {
        let url = || self.url.clone();
        let lost = |source| FleetError::Http { action: action.to_owned(), url: url(), source: Box::new(source) };
        let mut response = sent.map_err(lost)?;
        let code = exception_code(response.headers());
        let is_clean = response.status() == 200 && code.is_none();
        let body = response.body_mut().with_config().limit(MOST_ANSWER_BYTES).lossy_utf8(true).read_to_string();
        match body {
            Ok(body) if is_clean && !is_exception(&body) => Ok(body),
            Err(source) if is_clean => Err(lost(source)),
            other => {
                let body = other.unwrap_or_default();
                let message = match body.trim() {
                    "" => format!("HTTP status {}", response.status()),
                    text => printable(text),
                };
                let code = code.or_else(|| code_of(&body));
                Err(FleetError::Refused { action: action.to_owned(), url: url(), code, message })
            }
        }
    }
}

fn exception_code(headers: &HeaderMap) -> Option<u32> {
    headers.get("X-ClickHouse-Exception-Code")?.to_str().ok()?.trim().parse().ok()
}

/// Whether the text ends with an exception: a server that has already sent status 200 can only append it to the body.
fn is_exception(body: &str) -> bool {
    let last = body.trim_end().rsplit_once("\nCode: ").map_or(body.trim_end(), |(_, last)| last);
    last.contains("DB::Exception") && (body.starts_with("Code: ") || body.contains("\nCode: "))
        || body.contains("\n__exception__\r\n")
}

/// `497` of `Code: 497. DB::Exception: …`.
fn code_of(body: &str) -> Option<u32> {
    let rest = body.trim_start().strip_prefix("Code: ")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The beginning of a text on one line, with control characters replaced by spaces.
fn printable(text: &str) -> String {
    let plain: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match plain.char_indices().nth(MOST_MESSAGE_CHARS) {
        Some((end, _)) => format!("{}…", &plain[..end]),
        None => plain,
    }
}

#[cfg(test)]
mod tests;
