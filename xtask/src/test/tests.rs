use super::*;

#[test]
fn the_totals_of_all_test_binaries_add_up() {
    let mut totals = TestTotals::default();
    totals.take_in("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.1s");
    totals.take_in("test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out");
    totals.take_in("running 4 tests");
    assert_eq!((totals.passed, totals.failed, totals.ignored), (14, 1, 1));
}

#[test]
fn what_failed_is_said_again() {
    let mut totals = TestTotals::default();
    let said = ["failures:", "", "---- a::b stdout ----", "4 is not 5", "failures:", "    a::b", ""];
    let before = ["running 2 tests", "test a::b ... FAILED", "test a::c ... ok"];
    let after = ["test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured", "running 1 test"];
    before.iter().chain(&said).chain(&after).for_each(|line| totals.take_in(line));
    assert_eq!(totals.failures, said);
}

#[test]
fn of_each_failure_the_beginning_is_repeated_and_every_name() {
    let mut failures: Vec<String> =
        ["failures:", "---- a::b stdout ----", "4 is not 5"].iter().map(|line| (*line).to_owned()).collect();
    failures.extend((0..50).map(|line| format!("log {line}")));
    failures.extend(["stack backtrace:", "   0: main", "---- a::c stdout ----"].iter().map(|line| (*line).to_owned()));
    failures.push("x".repeat(5_000));
    failures.extend(["failures:", "    a::b", "    a::c"].iter().map(|line| (*line).to_owned()));
    let digest = digest(&failures);
    assert_eq!(digest[..4], ["failures:", "---- a::b stdout ----", "4 is not 5", "log 0"]);
    assert_eq!(digest[14], "---- a::c stdout ----");
    assert_eq!(digest[15], "x".repeat(400));
    assert_eq!(digest[16..], ["failures:", "    a::b", "    a::c"]);
}
