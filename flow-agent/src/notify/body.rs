//! What each service expects in the body of a request, and how it reports that it accepted the message.

use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde_json::{Value, json};

use super::Message;
use super::settings::ChannelKind;

/// The longest text that is sent, in bytes of UTF-8. It is below the limits of all services.
const MOST_TEXT_BYTES: usize = 1_800;

/// The body of a request, with its own headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    pub(super) content_type: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
}

/// The body for a service.
pub(super) fn of(kind: ChannelKind, message: &Message) -> Body {
    let text = cut(&message.text);
    let value = match kind {
        ChannelKind::Webhook => serde_json::to_value(message).expect("a message has only text and integers"),
        // The chat is part of the address. Without a parse mode, nothing in a name is interpreted as markup.
        ChannelKind::Telegram => json!({ "text": text, "link_preview_options": { "is_disabled": true } }),
        ChannelKind::Bark => {
            let level = if is_urgent(message) { "timeSensitive" } else { "active" };
            json!({ "title": message.title, "body": text, "group": "flow-agent", "level": level })
        }
        ChannelKind::Wecom => json!({ "msgtype": "text", "text": { "content": text } }),
        // A name such as @everyone must not notify anybody.
        ChannelKind::Discord => json!({ "content": text, "allowed_mentions": { "parse": [] } }),
        ChannelKind::Ntfy => return ntfy(message, text),
    };
    Body { bytes: value.to_string().into_bytes(), content_type: "application/json", headers: Vec::new() }
}

/// The body for ntfy, whose topics take plain text. A title that is not ASCII is encoded as in mail (RFC 2047), which
/// ntfy decodes.
fn ntfy(message: &Message, text: &str) -> Body {
    use base64::Engine as _;

    let title = match message.title.is_ascii() {
        true => message.title.clone(),
        false => format!("=?UTF-8?B?{}?=", base64::engine::general_purpose::STANDARD.encode(&message.title)),
    };
    let priority = if is_urgent(message) { "high" } else { "default" };
    let headers = vec![("Title", title), ("Priority", priority.to_owned()), ("Tags", message.event.to_owned())];
    Body { bytes: text.as_bytes().to_vec(), content_type: "text/plain; charset=utf-8", headers }
}

fn is_urgent(message: &Message) -> bool {
    ["cut", "node", "disk"].contains(&message.event)
}

/// `text` cut to the length that every service accepts, at the end of a character.
fn cut(text: &str) -> &str {
    let text = text.trim_end();
    if text.len() <= MOST_TEXT_BYTES {
        return text;
    }
    &text[..text.floor_char_boundary(MOST_TEXT_BYTES)]
}

/// Why a template does not give a valid body.
#[derive(Debug, thiserror::Error)]
pub(super) enum TemplateError {
    #[error(transparent)]
    Template(#[from] minijinja::Error),
    #[error("its output is not JSON")]
    NotJson(#[source] serde_json::Error),
}

/// Renders the body with the operator's own template.
pub(super) fn of_template(template: &str, message: &Message) -> Result<Body, TemplateError> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // Every value is written as JSON, including its quotation marks, so that no name can break out of its place.
    environment.set_auto_escape_callback(|_| AutoEscape::Json);
    let text = environment.render_str(template, minijinja::Value::from(minijinja::value::Serde(message)))?;
    let value: Value = serde_json::from_str(&text).map_err(TemplateError::NotJson)?;
    Ok(Body { bytes: value.to_string().into_bytes(), content_type: "application/json", headers: Vec::new() })
}

/// Whether the answer of a service with status 2xx means that it accepted the message. Some services answer 200 and
/// report a refusal in the body.
pub(super) fn is_accepted(kind: ChannelKind, answer: &[u8]) -> bool {
    let field = |name: &str| serde_json::from_slice::<Value>(answer).ok().and_then(|value| value.get(name).cloned());
    match kind {
        ChannelKind::Webhook | ChannelKind::Ntfy | ChannelKind::Discord => true,
        ChannelKind::Telegram => field("ok") == Some(Value::Bool(true)),
        ChannelKind::Wecom => field("errcode").and_then(|code| code.as_i64()) == Some(0),
        ChannelKind::Bark => field("code").and_then(|code| code.as_i64()) == Some(200),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn message(user: &str) -> Message {
        Message {
            id: "1f2e3d4c5b6a7988".to_owned(),
            event: "warn",
            level: Some(90),
            month: "2026-10".to_owned(),
            user: Some(user.to_owned()),
            node: None,
            day: None,
            quota_bytes: Some(1_000),
            used_bytes: Some(910),
            left_bytes: Some(90),
            forecast_bytes: None,
            title: format!("{user}: 90 % of the quota used"),
            text: format!("{user}: 90 % of the quota used\n\nUsed: 910 B\n"),
            sent_by: "hk-1".to_owned(),
            at: "2026-10-05T13:00:00+08:00".to_owned(),
        }
    }

    fn json_of(kind: ChannelKind, message: &Message) -> Value {
        serde_json::from_slice(&of(kind, message).bytes).unwrap()
    }

    #[test]
    fn each_service_gets_what_it_documents() {
        let one = message("ada");
        let text = "ada: 90 % of the quota used\n\nUsed: 910 B";
        assert_eq!(json_of(ChannelKind::Telegram, &one)["text"], text);
        assert_eq!(json_of(ChannelKind::Wecom, &one)["text"]["content"], text);
        assert_eq!(json_of(ChannelKind::Discord, &one)["content"], text);
        assert_eq!(json_of(ChannelKind::Discord, &one)["allowed_mentions"]["parse"], json!([]));
        assert_eq!(json_of(ChannelKind::Bark, &one)["body"], text);
        assert_eq!(json_of(ChannelKind::Bark, &one)["title"], one.title);
        assert_eq!(json_of(ChannelKind::Webhook, &one)["quota_bytes"], 1_000);
        assert_eq!(json_of(ChannelKind::Webhook, &one)["forecast_bytes"], Value::Null);
        let ntfy = of(ChannelKind::Ntfy, &one);
        assert_eq!(String::from_utf8(ntfy.bytes).unwrap(), text);
        assert_eq!(ntfy.headers[0], ("Title", one.title));
    }

    #[test]
    fn a_title_beyond_ascii_can_be_a_header() {
        // The UTF-8 of "张三" is E5 BC A0 E4 B8 89, which is 5byg5LiJ in base64.
        let title = &of(ChannelKind::Ntfy, &Message { title: "张三".to_owned(), ..message("张三") }).headers[0].1;
        assert_eq!(title, "=?UTF-8?B?5byg5LiJ?=");
    }

    #[test]
    fn a_long_text_is_cut_between_two_characters() {
        let long = Message { text: "量".repeat(2_000), ..message("ada") };
        let content = json_of(ChannelKind::Wecom, &long)["text"]["content"].as_str().unwrap().to_owned();
        assert_eq!(content, "量".repeat(600));
    }

    #[test]
    fn an_own_template_gives_json_whatever_the_name_is() {
        let template = r#"{ "msg": {{ title }}, "used": {{ used_bytes }}, "who": [{{ user }}] }"#;
        for user in ["ada", "\"}, {\"x\": \"", "a\\b", "</script>"] {
            let body = of_template(template, &message(user)).unwrap();
            let value: Value = serde_json::from_slice(&body.bytes).unwrap();
            assert_eq!(value["who"][0], user);
            assert_eq!(value["used"], 910);
        }
        assert!(of_template("{ \"a\": {{ no_such_field }} }", &message("ada")).is_err());
        assert!(matches!(of_template("hello", &message("ada")), Err(TemplateError::NotJson(_))));
    }

    #[test]
    fn an_answer_of_200_may_say_that_nothing_was_taken() {
        assert!(is_accepted(ChannelKind::Wecom, br#"{"errcode":0,"errmsg":"ok"}"#));
        assert!(!is_accepted(ChannelKind::Wecom, br#"{"errcode":93000,"errmsg":"invalid webhook url"}"#));
        assert!(is_accepted(ChannelKind::Telegram, br#"{"ok":true,"result":{}}"#));
        assert!(!is_accepted(ChannelKind::Telegram, b""));
        assert!(is_accepted(ChannelKind::Bark, br#"{"code":200,"message":"success"}"#));
        assert!(!is_accepted(ChannelKind::Bark, br#"{"code":400,"message":"failed"}"#));
        assert!(is_accepted(ChannelKind::Webhook, b""));
    }
}
