//! Daily files that are written by hand, without any code of the program under test.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use chrono::{Datelike as _, Days, NaiveDate};
use sha2::{Digest as _, Sha256};

/// The last calendar month that is over, wherever the test runs.
pub struct Month {
    pub first: NaiveDate,
}

impl Month {
    pub fn last_complete() -> Self {
        let today = chrono::Utc::now().date_naive();
        let last = today.with_day(1).unwrap() - Days::new(1);
        Self { first: last.with_day(1).unwrap() }
    }

    /// `2026-10`
    pub fn name(&self) -> String {
        self.first.format("%Y-%m").to_string()
    }

    pub fn days(&self) -> impl Iterator<Item = NaiveDate> {
        let month = self.first.month();
        self.first.iter_days().take_while(move |day| day.month() == month)
    }
}

/// The bytes of one port on one day: TCP in, TCP out, UDP in, UDP out.
#[derive(Clone)]
pub struct Moved {
    pub port: u16,
    pub user: Option<&'static str>,
    pub bytes: [u64; 4],
}

pub fn moved(port: u16, user: Option<&'static str>, bytes: [u64; 4]) -> Moved {
    Moved { port, user, bytes }
}

/// A line without its newline. Its packets are always 1, 2, 3 and 4.
pub fn line(day: NaiveDate, moved: &Moved) -> String {
    let user = moved.user.map(|user| format!(",\"user\":{}", serde_json::Value::from(user))).unwrap_or_default();
    let [a, b, c, d] = moved.bytes;
    format!(
        "{{\"v\":1,\"kind\":\"day\",\"day\":\"{day}\",\"port\":{}{user},\"tcp_in_bytes\":{a},\"tcp_in_packets\":1,\
         \"tcp_out_bytes\":{b},\"tcp_out_packets\":2,\"udp_in_bytes\":{c},\"udp_in_packets\":3,\
         \"udp_out_bytes\":{d},\"udp_out_packets\":4}}",
        moved.port
    )
}

/// A sealed day with these lines, including newlines. All of it is covered.
pub fn sealed(node: &str, day: NaiveDate, lines: &[String]) -> String {
    sealed_with(node, day, lines, 86_400, "UTC")
}

pub fn sealed_with(node: &str, day: NaiveDate, lines: &[String], covered: u32, zone: &str) -> String {
    let mut text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
    let sum = Sha256::digest(text.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    });
    writeln!(
        text,
        "{{\"v\":1,\"kind\":\"seal\",\"day\":\"{day}\",\"node\":\"{node}\",\"zone\":\"{zone}\",\"ports\":{},\
         \"seconds_in_day\":86400,\"seconds_covered\":{covered},\"buckets_expected\":24,\"buckets_sealed\":24,\
         \"quality\":{{\"exact\":24}},\"sha256\":\"{sum}\"}}",
        lines.len()
    )
    .unwrap();
    text
}

/// A whole month in which every day is the same.
pub fn month_of(node: &str, month: &Month, moved: &[Moved]) -> String {
    let day = |day| sealed(node, day, &moved.iter().map(|moved| line(day, moved)).collect::<Vec<_>>());
    month.days().map(day).collect()
}

/// Writes a daily file into a state directory.
pub fn put(state_dir: &Path, month: &Month, text: &str) {
    let daily = state_dir.join("daily");
    fs::create_dir_all(&daily).unwrap();
    fs::write(daily.join(format!("{}.jsonl", month.name())), text).unwrap();
}
