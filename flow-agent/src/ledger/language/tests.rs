use super::*;

#[test]
fn chinese_is_tagged_with_the_region_whose_font_it_needs() {
    assert_eq!([Language::English, Language::Chinese].map(Language::tag), ["en", "zh-CN"]);
    assert_eq!([Language::English, Language::Chinese].map(Language::code), ["en", "zh"]);
}
