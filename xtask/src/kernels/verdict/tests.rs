use super::*;

const LOG: &str = "[    0.000000] Linux version 5.10\r\n\
        running 2 tests\r\n\
        test load::every_program_loads ... ok\r\n\
        test count::bytes_are_exact ... ok\r\n\
        fact: place=clsact\r\n\
        fact: verified_insns ingress_eth=812\r\n\
        test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s\r\n\
        guest verdict: exit=0\r\n";

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn expected() -> BTreeSet<String> {
    names(&["count::bytes_are_exact", "load::every_program_loads"])
}

#[test]
fn a_verdict_of_zero_with_every_test_seen_is_a_pass() {
    let outcome = Outcome::read(LOG);
    assert_eq!(outcome.objection(&expected()), None);
    assert_eq!(outcome.fact("place"), Some("clsact"));
    assert_eq!(outcome.fact("verified_insns ingress_eth"), Some("812"));
}

#[test]
fn silence_is_no_pass() {
    assert_eq!(Outcome::read("").objection(&names(&[])), Some("no verdict on the console".into()));
    let cut = LOG.split("guest verdict").next().unwrap();
    assert_eq!(Outcome::read(cut).objection(&expected()), Some("no verdict on the console".into()));
}

#[test]
fn a_verdict_without_tests_is_no_pass() {
    let outcome = Outcome::read("guest verdict: exit=0\n");
    assert_eq!(outcome.objection(&names(&[])), Some("not seen to pass: ".into()));
    assert_eq!(outcome.objection(&names(&["a"])), Some("not seen to pass: a".into()));
}

#[test]
fn a_failed_test_is_named() {
    let log = LOG.replace("exact ... ok", "exact ... FAILED").replace("exit=0", "exit=101");
    assert_eq!(Outcome::read(&log).objection(&expected()), Some("failed: count::bytes_are_exact".into()));
}

#[test]
fn a_test_that_is_run_twice_must_pass_twice() {
    let again = "guest part: guarded:\r\ntest count::bytes_are_exact ... FAILED\r\nguest verdict: exit=101\r\n";
    let outcome = Outcome::read(&LOG.replace("guest verdict: exit=0\r\n", again));
    let expected = names(&["count::bytes_are_exact", "load::every_program_loads", "guarded: count::bytes_are_exact"]);
    assert_eq!(outcome.objection(&expected), Some("failed: guarded: count::bytes_are_exact".into()));
    let passed = Outcome::read(LOG);
    assert_eq!(passed.objection(&expected), Some("not seen to pass: guarded: count::bytes_are_exact".into()));
}

#[test]
fn an_exit_code_alone_is_an_objection() {
    let log = LOG.replace("exit=0", "exit=101");
    assert_eq!(Outcome::read(&log).objection(&expected()), Some("the tests ended with 101".into()));
}
