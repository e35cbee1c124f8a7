use super::*;

#[test]
fn mangle_unless_it_would_have_to_be_made_for_good() {
    assert_eq!(preferred_legacy_table("filter\nnat\n"), "filter");
    assert_eq!(preferred_legacy_table("filter\nmangle\n"), "mangle");
    assert_eq!(preferred_legacy_table(""), "mangle");
}

#[test]
fn a_program_is_the_first_file_of_that_name_on_the_path() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| dir.path().join(name));
    fs::create_dir_all(one.join("nft")).unwrap();
    fs::create_dir(&two).unwrap();
    let path = std::env::join_paths([&one, &two]).unwrap();
    assert_eq!(find_program(&path, "nft"), None, "a directory is no program");
    fs::File::create_new(two.join("nft")).unwrap();
    assert_eq!(find_program(&path, "nft"), Some(two.join("nft")));
    assert_eq!(find_program(&path, "iptables"), None);
}

#[test]
fn each_variant_has_programs_of_its_own() {
    assert_eq!(Family::V4.save_program(None), "iptables-save");
    assert_eq!(Family::V6.save_program(Some(Variant::Nft)), "ip6tables-nft-save");
    assert_eq!(Family::V4.restore_program(Some(Variant::Legacy)), "iptables-legacy-restore");
    assert_eq!(Family::V6.restore_program(None), "ip6tables-restore");
}
