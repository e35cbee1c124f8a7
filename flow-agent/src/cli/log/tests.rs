use super::*;

#[test]
fn verbose_and_quiet_move_the_usual_level() {
    assert_eq!(level(Level::INFO, 0, 0), Level::INFO);
    assert_eq!(level(Level::INFO, 1, 0), Level::DEBUG);
    assert_eq!(level(Level::WARN, 9, 0), Level::TRACE);
    assert_eq!(level(Level::INFO, 0, 1), Level::WARN);
    assert_eq!(level(Level::WARN, 0, 9), Level::ERROR);
}
