use super::*;

fn at(seconds: i64) -> DateTime<FixedOffset> {
    DateTime::from_timestamp(seconds, 0).unwrap().fixed_offset()
}

fn gap(from: i64, to: i64) -> Gap {
    Gap { start: at(from), end: at(to), interface: "eth0".to_owned(), why: String::new() }
}

#[test]
fn a_second_in_two_gaps_is_missing_once() {
    assert_eq!(covered(at(0), at(3_600), &[]), 3_600);
    // The gaps cover 10 to 30 and 50 to 60.
    assert_eq!(covered(at(0), at(3_600), &[gap(20, 30), gap(10, 25), gap(50, 60)]), 3_570);
    // Only what lies within the bucket.
    assert_eq!(covered(at(100), at(200), &[gap(0, 150), gap(190, 900)]), 40);
}

#[test]
fn a_bucket_is_divided_by_time() {
    let mut briefs = Briefs::default();
    let brief = |start, end, in_bytes, sha256: &str| Brief {
        start: at(start),
        end: at(end),
        in_bytes,
        out_bytes: 0,
        covered: 100,
        sha256: sha256.to_owned(),
    };
    briefs.add(brief(0, 100, 1_000, "a"));
    // The same bucket may be read for several figures.
    briefs.add(brief(0, 100, 1_000, "a"));
    briefs.add(brief(100, 200, 500, ""));
    let part = briefs.between(at(50).to_utc(), at(150).to_utc());
    assert_eq!(part, Part { in_bytes: 750, out_bytes: 0, covered: 100 });
    assert_eq!(briefs.between(at(300).to_utc(), at(400).to_utc()), Part::default());
}
