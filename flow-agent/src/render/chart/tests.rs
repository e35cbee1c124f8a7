use super::*;

const GIB: u64 = 1 << 30;

fn bar(label: &str, bytes: (u64, u64)) -> Bar {
    Bar { label: label.to_owned(), bytes, is_partial: false }
}

#[test]
fn a_bar_is_as_high_as_its_part_of_the_scale() {
    // The plot is 198 high: 240 minus 24 for the days and 18 above. The scale ends at 100: five times 20.
    let missing = Bar { is_partial: true, ..bar("3 Oct", (0, 0)) };
    let svg = days(Shape::Wide, "All", &[bar("1 Oct", (25, 75)), bar("2 Oct", (50, 0)), missing]);
    assert!(svg.contains(r#"class="i" x="105.46" y="167" width="235.72" height="49""#), "{svg}");
    assert!(svg.contains(r#"class="o" x="105.46" y="19" width="235.72" height="148""#), "{svg}");
    assert!(svg.contains(r#"y="117" width="235.72" height="99""#), "{svg}");
    assert!(svg.contains("<title>2 Oct: 50 B</title>") && svg.contains("<title>3 Oct: ≥ 0 B</title>"), "{svg}");
}

#[test]
fn a_scale_has_round_figures_and_ends_above_the_busiest_day() {
    for (most, step, lines) in [
        (0, 1, 1),
        (1, 1, 1),
        (7, 2, 4),
        (1_000, 200, 5),
        (1_023, 256, 4),
        (1_024, 256, 4),
        (502 * GIB, 200 * GIB, 3),
        (GIB + GIB / 10, GIB / 4, 5),
        (3 * GIB, GIB, 3),
        (u64::MAX, 5 << 60, 4),
    ] {
        assert_eq!(scale(most), (step, lines), "{most}");
        assert!(u128::from(step) * u128::from(lines) >= u128::from(most));
    }
}

#[test]
fn nothing_and_very_little_can_be_drawn() {
    assert!(days(Shape::Narrow, "", &[]).ends_with("</svg>"));
    assert!(days(Shape::Narrow, "", &[bar("1 Oct", (u64::MAX, u64::MAX))]).ends_with("</svg>"));
    assert!(spark(&[(1, 0), (u64::MAX, u64::MAX)]).contains(r#"<path d="M2 24v-1m4 1v-24"/>"#));
    // Days without traffic are left out: it is 12 units from the middle of the first day to that of the fourth.
    assert!(spark(&[(3, 3), (0, 0), (0, 0), (1, 1)]).contains(r#"<path d="M2 24v-24m12 24v-8"/>"#));
    assert!(!spark(&[(0, 0)]).contains("path"));
}

#[test]
fn a_label_is_text() {
    let svg = days(Shape::Wide, "<i>", &[bar("<b>&\"", (1, 1))]);
    assert!(svg.contains("&lt;b&gt;&amp;&quot;") && svg.contains("&lt;i&gt;") && !svg.contains("<b>"));
}
