use super::*;

#[test]
fn places_are_filled_once() {
    let words = Words::parse(r#"used = "{part} of {whole} {unknown} {""#).unwrap();
    let values = [("part", "{whole}".to_owned()), ("whole", "10".to_owned())];
    assert_eq!(words.say("used", &values), "{whole} of 10 {unknown} {");
    assert_eq!(words.say("nothing", &values), "[nothing]");
}
