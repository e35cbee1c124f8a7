//! A mail server that fails where and how it is told to, and remembers every letter that it accepted. Its texts are in
//! GBK, as with large Chinese mail providers.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A stage of the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Connect,
    Banner,
    Ehlo,
    Auth,
    Mail,
    Rcpt,
    Data,
    /// After the letter, which the server has not accepted.
    LetterLost,
    /// After the letter, which the server has accepted.
    LetterTaken,
}

/// What goes wrong at a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Transient,
    Permanent,
    /// No answer, for as long as the client waits.
    Hang,
    /// The connection ends.
    Drop,
    /// Something that is not SMTP.
    Nonsense,
}

/// A letter that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    pub to: Vec<String>,
    pub text: String,
}

#[derive(Default)]
struct State {
    /// One fault for each connection, in order; after that there are none.
    faults: VecDeque<(Stage, Fault)>,
    /// Recipients that are refused permanently.
    unknown: Vec<String>,
    taken: Vec<Taken>,
    /// Every line that any client sent.
    said: Vec<String>,
}

pub struct Stub {
    pub port: u16,
    state: Arc<Mutex<State>>,
}

impl Stub {
    /// Listens on 127.0.0.1. Each of the first connections gets one of `faults`, and later ones get none.
    pub fn start(faults: &[(Stage, Fault)]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State { faults: faults.iter().copied().collect(), ..State::default() }));
        let shared = Arc::clone(&state);
        // The thread ends with the test process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    // Clients that disconnect are what these tests are about.
                    let _ = talk(&stream.unwrap(), &shared);
                });
            }
        });
        Self { port, state }
    }

    /// Refuses this recipient from now on.
    pub fn refuse(&self, address: &str) {
        self.state.lock().unwrap().unknown.push(address.to_owned());
    }

    pub fn taken(&self) -> Vec<Taken> {
        self.state.lock().unwrap().taken.clone()
    }

    /// How many letters to this address were accepted.
    pub fn taken_for(&self, address: &str) -> usize {
        self.taken().iter().filter(|taken| taken.to.iter().any(|to| to == address)).count()
    }

    /// Every line that any client sent.
    pub fn said(&self) -> Vec<String> {
        self.state.lock().unwrap().said.clone()
    }
}

/// "Login failed", in GBK.
pub const GBK: &[u8] = b"\xb5\xc7\xc2\xbc\xca\xa7\xb0\xdc";

/// Sends `reply` with a text in GBK.
fn say(writer: &mut impl std::io::Write, reply: &str) -> std::io::Result<()> {
    writer.write_all(&[reply.as_bytes(), b" ", GBK, b"\r\n"].concat())
}

fn talk(stream: &TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    // An answer is written in pieces, and the second would wait until the client has acknowledged the first.
    stream.set_nodelay(true)?;
    let fault = state.lock().unwrap().faults.pop_front();
    let at = |stage: Stage| fault.filter(|(where_, _)| *where_ == stage).map(|(_, fault)| fault);
    let mut writer = stream;
    let mut lines = BufReader::new(stream).lines();
    // `Err` means that the connection ends here.
    let answer = |stage: Stage, usual: &str| -> std::io::Result<()> {
        let gone = || Err(std::io::ErrorKind::ConnectionAborted.into());
        let mut writer = stream;
        match at(stage) {
            None => say(&mut writer, usual),
            Some(Fault::Transient) => say(&mut writer, "451 4.3.0 not now"),
            Some(Fault::Permanent) => say(&mut writer, "554 5.0.0 never"),
            Some(Fault::Nonsense) => write!(writer, "what?\r\n"),
            Some(Fault::Drop) => gone(),
            Some(Fault::Hang) => {
                thread::sleep(Duration::from_secs(3_600));
                gone()
            }
        }
    };
    if at(Stage::Connect).is_some() {
        return Ok(());
    }
    answer(Stage::Banner, "220 stub ESMTP")?;
    let mut to: Vec<String> = Vec::new();
    while let Some(line) = lines.next().transpose()? {
        state.lock().unwrap().said.push(line.clone());
        match line.split([' ', ':']).next().unwrap_or_default() {
            "EHLO" => answer(Stage::Ehlo, "250-stub\r\n250-AUTH PLAIN LOGIN\r\n250-8BITMIME\r\n250 HELP")?,
            "AUTH" => answer(Stage::Auth, "235 2.7.0 welcome")?,
            "MAIL" => answer(Stage::Mail, "250 2.1.0 ok")?,
            "RCPT" => {
                let address = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                if state.lock().unwrap().unknown.contains(&address) {
                    say(&mut writer, "550 5.1.1 no such user")?;
                    continue;
                }
                to.push(address);
                answer(Stage::Rcpt, "250 2.1.5 ok")?;
            }
            "DATA" => {
                answer(Stage::Data, "354 go on")?;
                if at(Stage::Data).is_some() {
                    continue;
                }
                let mut text = String::new();
                loop {
                    let Some(line) = lines.next().transpose()? else { return Ok(()) };
                    if line == "." {
                        break;
                    }
                    text.push_str(line.strip_prefix('.').unwrap_or(&line));
                    text.push('\n');
                }
                if at(Stage::LetterLost).is_some() {
                    answer(Stage::LetterLost, "")?;
                } else {
                    state.lock().unwrap().taken.push(Taken { to: std::mem::take(&mut to), text });
                    answer(Stage::LetterTaken, "250 2.0.0 taken")?;
                }
            }
            "RSET" => {
                to.clear();
                say(&mut writer, "250 2.0.0 ok")?;
            }
            "QUIT" => return say(&mut writer, "221 2.0.0 bye"),
            _ => say(&mut writer, "500 5.5.2 what?")?,
        }
    }
    Ok(())
}
