use super::*;

const NAME: &str = "flow-6fwql3-1ci2fm-ti4";

fn parse(lines: &str) -> Result<Members, ParseError> {
    super::parse(&format!("create {NAME} bitmap:port range 0-65535 counters\n{lines}"), NAME)
}

#[test]
fn a_dump_says_what_every_port_moved() {
    let lines = format!("add {NAME} 443 packets 2 bytes 5000000000\nadd {NAME} 4433 packets 0 bytes 0\n");
    assert_eq!(parse(&lines), Ok(Members::from([(443, (5_000_000_000, 2)), (4433, (0, 0))])));
    assert_eq!(parse(&format!("add {NAME} 443\n")), Ok(Members::from([(443, (0, 0))])));
    assert_eq!(parse(""), Ok(Members::new()));
}

#[test]
fn dumps_that_follow_one_another_are_told_apart() {
    let text = "create a bitmap:port range 0-65535 counters\nadd a 443 packets 2 bytes 5\n\
                    create b bitmap:port range 0-65535\ncreate c bitmap:port range 0-65535\nadd c 7\n";
    let (a, c) = (Members::from([(443, (5, 2))]), Members::from([(7, (0, 0))]));
    assert_eq!(parse_all(text, &["a", "b", "c"]), Ok(vec![a, Members::new(), c]));
    assert_eq!(parse_all("", &[]), Ok(vec![]));
    for names in [&["a", "b"][..], &["a", "b", "c", "d"], &["a", "c", "b"], &[]] {
        assert!(parse_all(text, names).is_err(), "{names:?}");
    }
}

#[test]
fn what_was_done_before_an_ipset_that_is_in_use_is_not_done_again() {
    let stderr = "ipset v7.17: Error in line 2: Set cannot be destroyed: it is in use by a kernel component";
    assert_eq!(in_use_at(stderr), Some(2));
    assert_eq!(in_use_at("ipset v7.17: Error in line 2: The set with the given name does not exist"), None);
    assert_eq!(in_use_at("ipset v7.17: Kernel error received: Operation not permitted"), None);
    let commands = "destroy a\ndestroy b\ndestroy c\n";
    assert_eq!(from_line(commands, 2), Some("destroy b\ndestroy c\n"));
    assert_eq!(from_line(commands, 1), Some(commands));
    assert_eq!((from_line(commands, 4), from_line(commands, 0)), (None, None));
}

#[test]
fn what_is_not_such_a_dump_is_refused() {
    let twice = format!("add {NAME} 1 packets 1 bytes 1\n").repeat(2);
    for (lines, line, why) in [
        ("add flow-6fwql3-1ci2fm-ti6 443 packets 2 bytes 5\n", 2, "not a member of this ipset"),
        (&*format!("add {NAME} 443 packets 2\n"), 2, "not a member of this ipset"),
        (&*format!("add {NAME} 443-445\n"), 2, "not a port"),
        (&*format!("add {NAME} 70000\n"), 2, "not a port"),
        (&*format!("add {NAME} 443 packets -1 bytes 5\n"), 2, "a counter is not a number"),
        (&*twice, 3, "a member appears twice"),
        ("", 1, "another ipset, or none"),
    ] {
        let found = if lines.is_empty() { super::parse("", NAME) } else { parse(lines) };
        assert_eq!(found, Err(ParseError { line, why }), "{lines}");
    }
}
