use super::*;

#[test]
fn a_spreadsheet_takes_no_user_name_for_a_formula() {
    let row = TopRow {
        kind: FigureKind::Top,
        rank: 1,
        user: Some("=1+1|cmd".to_owned()),
        ports: vec![443],
        sums: Sums::default(),
    };
    assert!(csv(&row).starts_with("1,'=1+1|cmd,443,"), "{}", csv(&row));
    // JSON is for programs, which need the name as it is.
    assert!(json(&row).contains(r#""user":"=1+1|cmd""#), "{}", json(&row));
}
