use super::*;

#[test]
fn a_set_whose_id_another_boot_billed_was_restored() {
    let known = BTreeSet::from(["former-boot:1a".to_owned()]);
    assert_eq!(remains("1a", &known, false), Remains::FormerBoot);
    assert_eq!(remains("1b", &known, false), Remains::Counters);
    assert_eq!(remains("1b", &known, true), Remains::Zeros);
}
