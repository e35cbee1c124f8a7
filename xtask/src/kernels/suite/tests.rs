use super::super::series::named;
use super::*;

#[test]
fn the_executable_of_a_target_is_found_among_cargos_messages() {
    let messages = r#"{"reason":"compiler-artifact","target":{"name":"flow-agent","kind":["bin"]},"executable":"/t/flow-agent"}
{"reason":"compiler-artifact","target":{"name":"kernel","kind":["test"]},"executable":"/t/kernel-1"}
{"reason":"build-finished","success":true}"#;
    assert_eq!(executable(messages, "test", "kernel").unwrap(), PathBuf::from("/t/kernel-1"));
    assert_eq!(executable(messages, "bin", "flow-agent").unwrap(), PathBuf::from("/t/flow-agent"));
    assert!(executable(messages, "bin", "kernel").is_err());
}

fn suite(names: BTreeSet<String>) -> Suite {
    let program = || Program { built: PathBuf::new(), stripped: PathBuf::new() };
    Suite { tests: program(), agent: program(), names }
}

#[test]
fn some_tests_must_pass_once_more_where_ebpf_is_guarded() {
    let plan = suite(["adopt::a", "privileges::b"].map(str::to_owned).into()).plan_for(named("5.10").unwrap());
    let expected: Vec<String> = plan.expected().into_iter().collect();
    assert_eq!(expected, ["adopt::a", "guarded: privileges::b", "privileges::b"]);
}

#[test]
fn what_a_kernel_cannot_run_is_left_out_on_that_kernel_alone() {
    let names = ["adopt::a", "attach::it_is_first_even_so", "soak::b"].map(str::to_owned).into();
    let suite = suite(names);
    let names_for = |series| suite.plan_for(named(series).unwrap()).names.into_iter().collect::<Vec<_>>();
    assert_eq!(names_for("5.10"), ["adopt::a"]);
    assert_eq!(names_for("6.12"), ["adopt::a", "attach::it_is_first_even_so"]);
}
