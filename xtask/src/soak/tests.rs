use super::*;

#[test]
fn a_run_is_drawn_to_its_own_scale() {
    let samples = "seconds,events,difference_bytes,observed_bytes,memory_kib,open_files,disk_bytes\n\
                       60,5,0,1000,2048,20,1048576\n120,9,0,2000,4096,20,2097152\n";
    let svg = draw(samples).unwrap();
    // No differences: a line at the bottom. The plot is 720 wide, from 60 to 780.
    assert!(svg.contains("points=\"420.0,150.0 780.0,150.0\""), "{svg}");
    // Memory rises from half of the height to the full height. The second panel ends at 310.
    assert!(svg.contains("points=\"420.0,250.0 780.0,190.0\"") && svg.contains(">4.0<"), "{svg}");
    assert!(draw("seconds\nnone\n").is_err());
    assert!(draw("seconds\n").unwrap().ends_with("</svg>\n"));
}
