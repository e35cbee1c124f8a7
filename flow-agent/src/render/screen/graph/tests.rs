use super::*;

fn hour(label: &str, bytes: Option<(u128, u128)>) -> ChartHour {
    ChartHour { label: label.to_owned(), bytes }
}

#[test]
fn each_hour_has_a_column_in_and_one_out() {
    let look = ScreenStyle { width: 12, unicode: true, color: false, units: Default::default(), is_piped: false };
    // The highest column has 40 eighths: a value of 20 fills two and a half lines, and 1 is the least that is shown.
    let hours = [hour("09", Some((40, 20))), hour("10", None), hour("11", Some((0, 1)))];
    let expected = "█\n█\n█▄\n██\n██ ··  ▁\n09 10 11\n";
    assert_eq!(columns(&look, &hours), expected);
    let ascii = "#\n#\n##\n##\n## ??  #\n09 10 11\n";
    assert_eq!(columns(&ScreenStyle { unicode: false, ..look }, &hours), ascii);
}

#[test]
fn a_wide_terminal_has_wide_columns() {
    let look = ScreenStyle { width: 10, unicode: true, color: false, units: Default::default(), is_piped: false };
    let text = columns(&look, &[hour("09", Some((1, 1))), hour("10", Some((1, 0)))]);
    assert_eq!(text.lines().last(), Some("09   10"));
    assert_eq!(text.lines().next(), Some("████ ██"));
}
