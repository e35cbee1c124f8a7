use super::*;

fn manifest(epoch: &str, seq: u64, rev: u64, sha256: &str) -> Manifest {
    let at = |hour: u64| DateTime::parse_from_rfc3339(&format!("2026-10-05T{hour:02}:00:00+08:00")).unwrap();
    Manifest {
        key: BucketKey { node: "hk-1".into(), epoch: epoch.into(), seq },
        rev,
        start: at(seq),
        end: at(seq + 1),
        day: NaiveDate::from_ymd_opt(2026, 10, 5).unwrap(),
        zone: "Asia/Shanghai".into(),
        bucket_seconds: 3600,
        quality: Quality::Exact,
        rows: 1,
        gaps: 0,
        in_bytes: 1,
        out_bytes: 2,
        sha256: sha256.into(),
    }
}

/// Chooses for the node `hk-1` with all rows.
fn choose(all: Vec<Manifest>) -> Held {
    super::choose(all, "hk-1", |_| true)
}

/// The same version, sent under another name.
fn renamed(manifest: &Manifest, node: &str) -> Manifest {
    Manifest { key: BucketKey { node: node.into(), ..manifest.key.clone() }, ..manifest.clone() }
}

#[test]
fn a_bucket_that_was_sent_under_two_names_of_a_node_counts_once() {
    let (one, two) = (manifest("a", 1, 1, "x"), manifest("a", 2, 1, "y"));
    let before = |bucket: &Manifest| renamed(bucket, "hk-0");
    // The second bucket was sent under the former name only.
    let all = vec![before(&one), one.clone(), before(&two)];
    let expected = Held { manifests: vec![one.clone(), before(&two)], ties: vec![], replaced: vec![] };
    assert_eq!(choose(all.clone()), expected);
    assert_eq!(choose(all.into_iter().rev().collect()), expected);
    // Of equal ones, that whose rows are there.
    let held = super::choose(vec![before(&one), one.clone()], "hk-1", |bucket| bucket.key.node == "hk-0");
    assert_eq!(held.manifests, [before(&one)]);
    // A later revision holds, whatever its name.
    let corrected = before(&manifest("a", 1, 9, "z"));
    assert_eq!(choose(vec![one.clone(), corrected.clone()]).manifests, [corrected]);
    // Different figures under one revision do not count, even under two names.
    let held = choose(vec![one, before(&manifest("a", 1, 1, "z"))]);
    assert_eq!((held.manifests.len(), held.ties.len()), (0, 1));
}

#[test]
fn one_epoch_under_two_names_is_one_machine() {
    let own: Vec<_> = (1..9).map(|seq| manifest("a", seq, 1, "x")).collect();
    let former: Vec<_> = own.iter().map(|bucket| renamed(bucket, "hk-0")).collect();
    assert_eq!(two_machines(&epochs(own.iter().chain(&former))), None);
    let other: Vec<_> = (1..9).map(|seq| renamed(&manifest("b", seq, 1, "x"), "hk-0")).collect();
    assert!(two_machines(&epochs(own.iter().chain(&other))).is_some());
}

#[test]
fn of_each_bucket_the_highest_revision_holds_and_repetition_changes_nothing() {
    let (old, new, other) = (manifest("a", 1, 1, "x"), manifest("a", 1, 9, "y"), manifest("a", 2, 1, "z"));
    let mut all = vec![new.clone(), old.clone(), other.clone(), new.clone(), old];
    for _ in 0..all.len() {
        all.rotate_left(1);
        let held = choose(all.clone());
        assert_eq!(held, Held { manifests: vec![new.clone(), other.clone()], ties: vec![], replaced: vec![] });
    }
}

#[test]
fn one_revision_with_two_contents_does_not_count() {
    let held = choose(vec![manifest("a", 1, 1, "x"), manifest("a", 1, 1, "y"), manifest("a", 2, 1, "z")]);
    assert_eq!(held.manifests, [manifest("a", 2, 1, "z")]);
    assert_eq!(held.ties.len(), 1);
    // A later revision settles it.
    let held = choose(vec![manifest("a", 1, 1, "x"), manifest("a", 1, 1, "y"), manifest("a", 1, 2, "z")]);
    assert_eq!((held.manifests, held.ties.len()), (vec![manifest("a", 1, 2, "z")], 0));
}

#[test]
fn two_machines_count_at_the_same_time_with_the_same_numbers() {
    let numbered =
        |epoch: &str, seqs: std::ops::Range<u64>| -> Vec<_> { seqs.map(|seq| manifest(epoch, seq, 1, "x")).collect() };
    let both = [numbered("a", 1..9), numbered("b", 1..9)].concat();
    assert!(two_machines(&epochs(&both)).is_some());
    // After a restart, the numbers continue.
    let restarted = [numbered("a", 1..5), numbered("b", 5..9)].concat();
    assert_eq!(two_machines(&epochs(&restarted)), None);
    // After a new installation, the numbers begin again, but later.
    let mut anew = numbered("b", 1..3);
    for bucket in &mut anew {
        (bucket.start, bucket.end) =
            (bucket.start + chrono::TimeDelta::days(1), bucket.end + chrono::TimeDelta::days(1));
    }
    assert_eq!(two_machines(&epochs(&[numbered("a", 1..9), anew].concat())), None);
}

#[test]
fn numbers_that_never_arrived_are_counted() {
    let all: Vec<_> = [1, 2, 5, 7].map(|seq| manifest("a", seq, 1, "x")).to_vec();
    assert_eq!(missing_numbers(&all), Some((3, 3)));
    assert_eq!(missing_numbers(&all[..2]), None);
    assert_eq!(missing_numbers(&[]), None);
    let imported = Manifest { quality: Quality::Import, ..manifest("import", 9, 1, "x") };
    assert_eq!(missing_numbers(all[..2].iter().chain([&imported])), None);
}

#[test]
fn buckets_whose_place_another_one_took_do_not_count_as_well() {
    // The log of three hours was lost, and one bucket was made of them.
    let lost: Vec<_> = (1..=3).map(|seq| manifest("a", seq, 1, "x")).collect();
    let made = Manifest { start: lost[0].start, ..manifest("a", 3, 9, "y") };
    let (before, after) = (manifest("a", 0, 1, "z"), manifest("a", 4, 9, "z"));
    let all = [&lost[..], &[made.clone(), before.clone(), after.clone()]].concat();
    let held = choose(all);
    assert_eq!(held.manifests, [before, made, after]);
    assert_eq!(held.replaced, lost[..2]);
    // Nothing is missing: the numbers were given.
    assert_eq!(missing_numbers(held.manifests.iter().chain(&held.replaced)), None);
    // Two buckets overlap after a clock was set back; both are in the log, under one revision.
    let again = Manifest { start: lost[1].start, ..manifest("a", 3, 1, "y") };
    assert_eq!(choose(vec![lost[1].clone(), again.clone()]).replaced, []);
    // Those of another set of counters are not of the same bytes.
    let other = Manifest { start: lost[1].start, ..manifest("b", 3, 9, "y") };
    assert_eq!(choose(vec![lost[1].clone(), other]).replaced, []);
}

#[test]
fn a_bucket_that_is_sent_again_under_another_configuration_is_the_same() {
    let one = manifest("a", 1, 1, "x");
    let again = Manifest { zone: "UTC".into(), bucket_seconds: 300, ..one.clone() };
    let held = choose(vec![one, again]);
    assert_eq!((held.manifests.len(), held.ties.len()), (1, 0));
}
