use super::*;

#[test]
fn what_a_program_says_fits_into_an_error() {
    let text = "# Warning: iptables-legacy tables present, use iptables-legacy-save to see them\n\
                    iptables-restore v1.8.9 (nf_tables): \n\
                    line 2: RULE_APPEND failed (Too many links): rule in chain x\n\
                    Try `iptables-restore -h' or 'iptables-restore --help' for more information.\n";
    let line = "iptables-restore v1.8.9 (nf_tables):; line 2: RULE_APPEND failed (Too many links): rule in chain x";
    assert_eq!(one_line(text), line);
    assert_eq!(one_line(&"x".repeat(9_000)).len(), 500);
}

#[test]
fn a_program_gets_its_input_and_says_what_it_has_to_say() {
    // More than a pipe holds, in both directions.
    let input = "line\n".repeat(100_000);
    let output = run(Path::new("/bin/cat"), &[], &input).unwrap();
    assert!(output.status.success());
    assert_eq!(output.stdout, input);
}

#[test]
fn a_program_has_a_process_group_of_its_own() {
    let stat = run(Path::new("/bin/cat"), &["/proc/self/stat"], "").unwrap().stdout;
    let fields: Vec<&str> = stat.split(' ').collect();
    // proc_pid_stat(5): field 1 is the process id, and field 5 its group. The name `cat` contains no space.
    assert_eq!(fields[0], fields[4], "{stat}");
}

#[test]
fn a_program_that_does_not_read_is_no_error() {
    let output = run(Path::new("/bin/false"), &[], &"line\n".repeat(100_000)).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(matches!(run(Path::new("/nowhere"), &[], ""), Err(ProcessError::Run { .. })));
}

#[test]
fn a_caller_inside_a_runtime_may_wait_for_a_program() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let output = runtime.block_on(async { run(Path::new("/bin/cat"), &[], "text") }).unwrap();
    assert_eq!(output.stdout, "text");
}

#[test]
fn only_the_first_bytes_of_an_output_are_kept() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let limits = ProcessLimits { output_bytes: 7, file_bytes: Some(1), dies_with_caller: true };
    let input = "line\n".repeat(100_000);
    let ended = runtime.block_on(run_within(Path::new("/bin/cat"), &[], Some(&input), limits)).unwrap();
    assert_eq!((ended.status.success(), &ended.stdout[..]), (true, &b"line\nli"[..]));
}
