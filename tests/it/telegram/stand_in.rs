//! The stand-in against the client library that real bots use.

use pivot_trading::clock::Clock;
use pivot_trading::sim::telegram;
use serde_json::{Value, json};
use teloxide::RequestError;
use teloxide::payloads::{
    AnswerCallbackQuerySetters as _, GetUpdatesSetters as _, SendMessageSetters as _,
    SendPhotoSetters as _,
};
use teloxide::requests::Requester as _;
use teloxide::types::{
    ChatId, InlineKeyboardButton, InlineKeyboardMarkup, InputFile, ParseMode, UpdateKind,
};

struct Stage {
    server: telegram::Handle,
    bot: teloxide::Bot,
    http: reqwest::Client,
}

async fn stage() -> Stage {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = telegram::start(listener, Clock::system()).unwrap();
    let bot = teloxide::Bot::new("1:T").set_api_url(server.url.parse().unwrap());
    Stage { server, bot, http: reqwest::Client::new() }
}

impl Stage {
    async fn control(&self, what: &str, body: Value) -> Value {
        let url = format!("{}/_sim/telegram/{what}", self.server.url);
        let answer = self.http.post(url).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{what}: {}", answer.status());
        answer.json().await.unwrap_or(Value::Null)
    }

    async fn messages(&self, since: u64) -> Vec<telegram::Sent> {
        let url = format!("{}/_sim/telegram/messages?since={since}", self.server.url);
        let mut body: Value = self.http.get(url).send().await.unwrap().json().await.unwrap();
        serde_json::from_value(body["messages"].take()).unwrap()
    }
}

#[tokio::test]
async fn carries_texts_pictures_buttons_and_presses() {
    let stage = stage().await;
    assert_eq!(stage.bot.get_me().await.unwrap().username(), "pivot_sim_bot");
    let keyboard = InlineKeyboardMarkup::new([[InlineKeyboardButton::callback("Yes", "y:1")]]);
    let message = stage
        .bot
        .send_message(ChatId(7), "<b>P&amp;L</b>")
        .parse_mode(ParseMode::Html)
        .reply_markup(keyboard)
        .await
        .unwrap();
    let png = InputFile::memory(vec![7_u8; 900]).file_name("day.png");
    stage.bot.send_photo(ChatId(7), png).caption("the day").await.unwrap();
    let sent = stage.messages(0).await;
    assert_eq!((sent[0].text.as_str(), sent[0].html.as_str()), ("P&L", "<b>P&amp;L</b>"));
    assert_eq!(sent[0].buttons[0][0].data.as_deref(), Some("y:1"));
    assert_eq!((sent[1].bytes, sent[1].file.as_deref()), (900, Some("day.png")));

    let press = json!({"chat_id": 7, "user_id": 7, "message_id": message.id.0, "data": "y:1"});
    stage.control("press", press).await;
    let updates = stage.bot.get_updates().await.unwrap();
    let UpdateKind::CallbackQuery(query) = &updates[0].kind else { panic!("{updates:?}") };
    assert_eq!(query.data.as_deref(), Some("y:1"));
    stage.bot.answer_callback_query(query.id.clone()).text("done").await.unwrap();
    stage.bot.edit_message_text(ChatId(7), message.id, "gone").await.unwrap();
    let sent = stage.messages(2).await;
    assert_eq!((sent[0].text.as_str(), sent[1].text.as_str()), ("done", "gone"));
    assert!(sent[1].buttons.is_empty());
    stage.server.stop().await;
}

#[tokio::test]
async fn a_long_poll_ends_with_news_or_another_poll() {
    let stage = stage().await;
    let bot = stage.bot.clone();
    let poll = tokio::spawn(async move { bot.get_updates().timeout(10).await });
    tokio::task::yield_now().await;
    let text = json!({"chat_id": 7, "user_id": 8, "text": "/status"});
    let update = stage.control("send", text).await["update_id"].as_i64().unwrap();
    let updates = poll.await.unwrap().unwrap();
    assert_eq!(updates.len(), 1);
    // Not confirmed yet: it comes again; confirmed: it does not.
    assert_eq!(stage.bot.get_updates().await.unwrap().len(), 1);
    let offset = update as i32 + 1;
    assert!(stage.bot.get_updates().offset(offset).await.unwrap().is_empty());
    stage.control("redeliver", json!({"update_id": update})).await;
    assert_eq!(stage.bot.get_updates().offset(offset).await.unwrap().len(), 1);

    let bot = stage.bot.clone();
    let older = tokio::spawn(async move { bot.get_updates().offset(offset).timeout(10).await });
    let mut newer = stage.bot.get_updates().offset(offset).await;
    while !older.is_finished() {
        newer = stage.bot.get_updates().offset(offset).await;
    }
    assert!(newer.unwrap().is_empty());
    let error = older.await.unwrap().unwrap_err();
    assert!(
        matches!(error, RequestError::Api(teloxide::ApiError::TerminatedByOtherGetUpdates)),
        "{error:?}"
    );
}

#[tokio::test]
async fn refuses_as_scripted_and_as_telegram_does() {
    let stage = stage().await;
    let limit = json!({"method": "sendMessage", "status": 429, "retry_after": 3});
    stage.control("faults", limit).await;
    let error = stage.bot.send_message(ChatId(7), "x").await.unwrap_err();
    assert!(matches!(error, RequestError::RetryAfter(wait) if wait.seconds() == 3), "{error:?}");
    let lost = json!({"status": 403, "carried_out": true});
    stage.control("faults", lost).await;
    stage.bot.send_message(ChatId(7), "lost").await.unwrap_err();
    assert_eq!(stage.messages(0).await[0].text, "lost");
    let broken = stage.bot.send_message(ChatId(7), "<b>x").parse_mode(ParseMode::Html);
    assert!(matches!(broken.await.unwrap_err(), RequestError::Api(_)));
    let long = stage.bot.send_message(ChatId(7), "x".repeat(4097));
    assert!(matches!(
        long.await.unwrap_err(),
        RequestError::Api(teloxide::ApiError::MessageIsTooLong)
    ));
}

#[tokio::test]
async fn bodies_as_people_type_them_are_understood() {
    const FORM: &str = "application/x-www-form-urlencoded";
    let stage = stage().await;
    let post = async |path: &str, kind: Option<&str>, body: &'static str| {
        let request = stage.http.post(format!("{}{path}", stage.server.url)).body(body);
        let request = match kind {
            Some(kind) => request.header("content-type", kind),
            None => request,
        };
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{path} {kind:?}: {}", answer.status());
        answer.json::<Value>().await.unwrap()
    };
    let sent = post("/bot1:x/sendMessage", Some(FORM), "chat_id=7&text=hello world é").await;
    assert_eq!(sent["result"]["text"], "hello world é");
    let id = sent["result"]["message_id"].as_i64().unwrap();
    assert_eq!(id, 1);
    for kind in [Some(FORM), Some("text/plain"), None] {
        let wrote = r#"{"chat_id":7,"user_id":8,"text":"/status"}"#;
        assert!(post("/_sim/telegram/send", kind, wrote).await["update_id"].is_i64());
        let pressed = r#"{"chat_id":7,"user_id":8,"message_id":1,"data":"y:1"}"#;
        assert!(post("/_sim/telegram/press", kind, pressed).await["update_id"].is_i64());
    }
}
