use super::*;

#[test]
fn columns_are_as_wide_as_their_text_on_the_terminal() {
    let look = ScreenStyle { width: 80, unicode: true, color: false, units: Default::default(), is_piped: false };
    let mut rows = Rows::new(&[Alignment::Left, Alignment::Right, Alignment::Left]);
    rows.push(["香港".into(), "1".into(), "x".into()]);
    rows.push(["a".into(), "100".into()]);
    assert_eq!(rows.print(&look), "香港    1  x\na     100\n");
    assert_eq!(rows.width(), 4 + 2 + 3 + 2 + 1);
    // Colours do not change the widths.
    let colored = ScreenStyle { color: true, ..look };
    let mut rows = Rows::new(&[Alignment::Right, Alignment::Left]);
    rows.push([TextCell::new(Tone::Bad, "1").and(Tone::Plain, "2"), "y".into()]);
    rows.push(["123".into(), "z".into()]);
    let plain: Vec<String> = rows.print(&colored).lines().map(without_colors).collect();
    assert_eq!(plain, [" 12  y", "123  z"]);
}

fn without_colors(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').unwrap().1)
}
