use super::*;

const PUBLISHED: &[&str] = &[
    "linux-image-6.1-cloud-amd64",
    "linux-image-6.1.0-9-cloud-amd64",
    "linux-image-6.1.0-55-cloud-amd64",
    "linux-image-6.1.0-55-cloud-amd64-unsigned",
    "linux-image-6.1.0-56-cloud-amd64",
    "linux-image-6.1.0-57-cloud-amd64-unsigned",
    "linux-image-6.12.117+deb13-cloud-amd64",
    "linux-image-6.1.0-58-amd64",
];

#[test]
fn the_pinned_package_comes_before_a_newer_one() {
    let series = Series { name: "6.1", suites: &[], package: "linux-image-6.1.0-55-cloud-amd64" };
    assert_eq!(series.choose(PUBLISHED.iter().copied()).as_deref(), Some("linux-image-6.1.0-55-cloud-amd64"));
}

#[test]
fn the_newest_of_the_series_takes_the_place_of_a_package_that_is_gone() {
    let series = Series { name: "6.1", suites: &[], package: "linux-image-6.1.0-1-cloud-amd64" };
    assert_eq!(series.choose(PUBLISHED.iter().copied()).as_deref(), Some("linux-image-6.1.0-56-cloud-amd64"));
}

#[test]
fn another_series_never_takes_its_place() {
    let series = Series { name: "6.18", suites: &[], package: "linux-image-6.18.15+deb13-cloud-amd64" };
    assert_eq!(series.choose(PUBLISHED.iter().copied()), None);
}

#[test]
fn every_pinned_package_is_of_its_series() {
    for series in KNOWN {
        assert!(series.holds(series.package), "{series:?}");
        assert!(series.version() >= (5, 10));
    }
}

#[test]
fn an_unknown_series_is_refused_with_those_that_there_are() {
    let refusal = named("4.19").unwrap_err().to_string();
    assert_eq!(refusal, "no kernel `4.19`; there are: 5.10, 6.1, 6.12, 6.18, 7.3");
}
