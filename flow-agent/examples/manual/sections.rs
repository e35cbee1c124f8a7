//! What the manual pages say beyond the command line: examples, files and exit codes.

/// Of one page.
pub struct Sections {
    /// The name of the command; `flow-agent` for the page of the program itself.
    pub command: &'static str,
    /// What an example does, and its command line.
    pub examples: &'static [(&'static str, &'static str)],
    pub files: &'static [(&'static str, &'static str)],
    /// Those that this command may end with.
    pub codes: &'static [u8],
}

pub const EXIT_STATUS: [(u8, &str); 8] = [
    (0, "Everything was done."),
    (1, "An unexpected error."),
    (2, "The command line is wrong."),
    (3, "The configuration, or a file that it names, is wrong."),
    (4, "A problem with the kernel, a permission, an interface, or another program's counter."),
    (5, "A file of the state directory cannot be read or written, or another process holds its lock."),
    (6, "The work is done, but something is missing or damaged; the output says what."),
    (7, "Letters could not be mailed; the output says which and why."),
];

const CONFIGURATION: (&str, &str) = ("/etc/flow-agent/config.toml", "The configuration, see flow-agent.toml(5).");
const HOURLY: (&str, &str) = ("/var/lib/flow-agent/hourly/2026-10-05.jsonl", "The hourly log of a day.");
const DAILY: (&str, &str) =
    ("/var/lib/flow-agent/daily/2026-10.jsonl", "The daily log of a month, made from the hourly logs.");
const SOCKET: (&str, &str) =
    ("/run/flow-agent/ID.sock", "The socket of the running agent; ID is in the file `instance`.");
const GRANTS: (&str, &str) = ("/var/lib/flow-agent/grants.jsonl", "All grants: to whom, how much and when.");
const MONTHLY: (&str, &str) = ("/var/lib/flow-agent/monthly/2026.jsonl", "On the main node: the totals of each month.");

pub const ALL: [Sections; 19] = [
    Sections {
        command: "flow-agent",
        examples: &[
            ("See what works on this machine, and what does not:", "flow-agent check"),
            ("See the traffic of today and this month:", "flow-agent show"),
            ("Make the report of a month, and mail it:", "flow-agent report --month 2026-10"),
        ],
        files: &[
            CONFIGURATION,
            ("/var/lib/flow-agent", "The state directory, with all logs and reports."),
            ("/usr/share/doc/flow-agent", "The documentation."),
        ],
        codes: &[0, 1, 2, 3, 4, 5, 6, 7],
    },
    Sections {
        command: "run",
        examples: &[
            ("Count as configured; usually systemd starts this:", "flow-agent run"),
            (
                "Try it without any configuration, on one interface and in a separate directory:",
                "flow-agent run --interface eth0 --state-dir /tmp/flow-agent",
            ),
            ("Count with iptables instead of eBPF:", "flow-agent run --iptables"),
            ("Count with a table of nftables:", "flow-agent run --backend nftables"),
        ],
        files: &[
            CONFIGURATION,
            HOURLY,
            DAILY,
            ("/var/lib/flow-agent/checkpoint.json", "The newest reading, in case of a power cut."),
            ("/sys/fs/bpf", "Where the counters are pinned, so that they outlive the agent."),
        ],
        codes: &[0, 1, 2, 3, 4, 5],
    },
    Sections {
        command: "rollup",
        examples: &[
            ("Rebuild the daily log of a month from the hourly logs:", "flow-agent rollup --month 2026-10"),
            ("Rebuild one day:", "flow-agent rollup --day 2026-10-05"),
        ],
        files: &[CONFIGURATION, HOURLY, DAILY],
        codes: &[0, 1, 2, 3, 5, 6],
    },
    Sections {
        command: "report",
        examples: &[
            ("Close and mail every month that is over; a timer or cron runs this every day:", "flow-agent report"),
            ("See what would be mailed, and change nothing:", "flow-agent report --dry-run"),
            ("Make the page of the month in progress, and mail nothing:", "flow-agent report --month this --no-mail"),
            ("Mail one statement again:", "flow-agent report --month 2026-10 --resend alice"),
        ],
        files: &[
            CONFIGURATION,
            ("/var/lib/flow-agent/nodes/NAME/daily/2026-10.jsonl", "The daily log gathered from the node NAME."),
            ("/var/lib/flow-agent/reports/2026-10/report.html", "The page of the month."),
            (
                "/var/lib/flow-agent/reports/2026-10/flow-agent-2026-10.csv",
                "The figures of all users, for spreadsheets.",
            ),
            ("/var/lib/flow-agent/reports/2026-10/0001-alice.eml", "A letter, which any mail program can open."),
            MONTHLY,
            ("/var/lib/flow-agent/sent.jsonl", "The delivery state of every letter."),
        ],
        codes: &[0, 1, 2, 3, 5, 6, 7],
    },
    Sections {
        command: "show",
        examples: &[
            ("Today and this month at a glance:", "flow-agent show"),
            ("The last 24 hours of a port:", "flow-agent show hours --port 443"),
            ("The days of a user as JSON:", "flow-agent show days --user acct-8388 --json"),
            ("The users with the most traffic in a month:", "flow-agent show top --from 2026-10 --to 2026-10"),
            ("Months for a spreadsheet:", "flow-agent show months --csv"),
        ],
        files: &[CONFIGURATION, HOURLY, DAILY, MONTHLY],
        codes: &[0, 1, 2, 3, 5, 6],
    },
    Sections {
        command: "top",
        examples: &[
            ("Ports or users by their rate, live:", "flow-agent top"),
            ("Only the rows that contain a text:", "flow-agent top --filter acct"),
            ("Three answers as lines, for a script:", "flow-agent top --by port --count 3"),
        ],
        files: &[CONFIGURATION, SOCKET],
        codes: &[0, 1, 2, 3, 5],
    },
    Sections {
        command: "ship",
        examples: &[
            ("Send each hour as it is sealed; usually systemd starts this:", "flow-agent ship"),
            ("Send everything that is pending and exit, for cron:", "flow-agent ship --once"),
        ],
        files: &[
            CONFIGURATION,
            HOURLY,
            (
                "/var/lib/flow-agent/ship/ship.json",
                "The position up to which ClickHouse has acknowledged the hourly log.",
            ),
        ],
        codes: &[0, 1, 2, 3, 5, 6],
    },
    Sections {
        command: "fleet",
        examples: &[
            ("Print the statements that create the tables, without running them:", "flow-agent fleet init --print"),
            ("See the newest hour, the lag and the alarms of each node:", "flow-agent fleet status"),
        ],
        files: &[CONFIGURATION],
        codes: &[0, 1, 2, 3, 6],
    },
    Sections {
        command: "fleet-init",
        examples: &[
            ("See the statements first, without connecting:", "flow-agent fleet init --print"),
            ("Create replicated tables on every server of a cluster:", "flow-agent fleet init --cluster main"),
        ],
        files: &[CONFIGURATION, ("/usr/share/flow-agent/clickhouse", "The same statements, as files.")],
        codes: &[0, 1, 2, 3, 6],
    },
    Sections {
        command: "fleet-status",
        examples: &[("See the newest hour, the lag and the alarms of each node:", "flow-agent fleet status")],
        files: &[CONFIGURATION],
        codes: &[0, 1, 2, 3, 6],
    },
    Sections {
        command: "check",
        examples: &[
            ("Everything, with advice:", "flow-agent check"),
            ("For monitoring: no output, only the exit code:", "flow-agent check --quiet"),
            ("On the main node, compare and trust the host key of a node:", "flow-agent check --enroll hk-1"),
            (
                "On a node, let the main node fetch the daily logs:",
                "flow-agent check --enroll-main id_ed25519.pub --from 198.51.100.4",
            ),
            ("See whether letters arrive:", "flow-agent check --send-test ops@example.com"),
        ],
        files: &[CONFIGURATION, ("/etc/flow-agent/known_hosts", "The host keys of the nodes that were enrolled.")],
        codes: &[0, 1, 2, 3, 4, 5, 6, 7],
    },
    Sections {
        command: "users",
        examples: &[
            ("Quota, usage and forecast of each user:", "flow-agent users"),
            ("One user as JSON:", "flow-agent users acct-8388 --json"),
        ],
        files: &[CONFIGURATION, HOURLY, GRANTS],
        codes: &[0, 1, 2, 3, 5, 6],
    },
    Sections {
        command: "grant",
        examples: &[
            ("Allow a user 50 GiB more in this billing month:", "flow-agent grant acct-8388 50GiB"),
            ("In another month:", "flow-agent grant acct-8388 50GiB --month 2026-12"),
        ],
        files: &[CONFIGURATION, GRANTS],
        codes: &[0, 1, 2, 3, 5],
    },
    Sections {
        command: "notify",
        examples: &[
            ("See what would be sent now, without sending it:", "flow-agent notify --dry-run"),
            ("On a main node, with what the nodes have counted so far:", "flow-agent notify --gather"),
        ],
        files: &[CONFIGURATION, ("/var/lib/flow-agent/notices.jsonl", "The delivery state of each notice.")],
        codes: &[0, 1, 2, 3, 5, 6, 7],
    },
    Sections {
        command: "prune",
        examples: &[("See which days would be compressed or deleted:", "flow-agent prune --dry-run")],
        files: &[CONFIGURATION, HOURLY],
        codes: &[0, 1, 2, 3, 5, 6],
    },
    Sections {
        command: "import",
        examples: &[("Import the logs of an older program:", "flow-agent import /root/traffic-logs")],
        files: &[CONFIGURATION, HOURLY],
        codes: &[0, 1, 2, 3, 5, 6],
    },
    Sections {
        command: "init",
        examples: &[
            ("Print a configuration for what was found on this machine:", "flow-agent init"),
            ("Write it, if there is none yet:", "flow-agent init --write"),
        ],
        files: &[CONFIGURATION],
        codes: &[0, 1, 2, 3, 5],
    },
    Sections {
        command: "frps-hooks",
        examples: &[
            ("Listen where frps.toml expects the plugin; usually systemd starts this:", "flow-agent frps-hooks"),
            (
                "On another port, with a path that others on this machine cannot guess:",
                "flow-agent frps-hooks --listen 127.0.0.1:9001 --path-file /etc/flow-agent/frps-hooks.path",
            ),
        ],
        files: &[
            (
                "/var/lib/flow-agent-lists/frps-hooks.json",
                "The ports of frps's clients and their owners, for `ports.files` with the format \"frps\".",
            ),
            ("/etc/flow-agent/frps-hooks.path", "The path that frps has to use, if this file exists."),
        ],
        codes: &[0, 1, 2, 3, 4, 5],
    },
    Sections {
        command: "uninstall",
        examples: &[
            ("Remove everything of ours from the kernel; the logs stay:", "flow-agent uninstall"),
            ("Also what agents of lost state directories left behind:", "flow-agent uninstall --all"),
        ],
        files: &[CONFIGURATION, ("/var/lib/flow-agent", "The logs, which stay.")],
        codes: &[0, 1, 2, 3, 4, 5],
    },
];

/// Of a command that has no sections yet.
const OTHERS: Sections = Sections { command: "", examples: &[], files: &[CONFIGURATION], codes: &[0, 1, 2, 3, 4, 5] };

pub fn of(command: &str) -> &'static Sections {
    ALL.iter().find(|sections| sections.command == command).unwrap_or(&OTHERS)
}
