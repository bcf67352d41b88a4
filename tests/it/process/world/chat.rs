//! The people's side: the chat, and requests without it.

use pivot_trading::clock::real_now;
use pivot_trading::engine::event::OperatorAction;
use pivot_trading::sim::telegram::Sent;
use pivot_trading::store::{Answer, Ask, Request, Role, Source};
use serde_json::{Value, json};

use super::{OWNER, World};

impl World {
    /// The owner writes. Answers the instant just before, in microseconds.
    pub(in crate::process) fn write(&self, text: &str) -> i64 {
        let body = json!({"chat_id": OWNER, "user_id": OWNER, "text": text});
        let before = real_now().timestamp_micros();
        self.post(format!("{}/_sim/telegram/send", self.telegram), &body);
        before
    }

    /// The owner presses the first button below a message.
    pub(in crate::process) fn press(&self, below: &Sent) {
        let data = &below.buttons[0][0].data;
        let (chat, message) = (below.chat_id, below.message_id);
        let body = json!({"chat_id": chat, "user_id": OWNER, "message_id": message, "data": data});
        self.post(format!("{}/_sim/telegram/press", self.telegram), &body);
    }

    pub(in crate::process) fn chat_fault(&self, fault: &Value) {
        self.post(format!("{}/_sim/telegram/faults", self.telegram), fault);
    }

    pub(in crate::process) fn messages(&self) -> Vec<Sent> {
        let url = format!("{}/_sim/telegram/messages?since=0", self.telegram);
        let mut body: Value = self
            .runtime
            .block_on(async { self.http.get(url).send().await.unwrap().json().await.unwrap() });
        serde_json::from_value(body["messages"].take()).unwrap()
    }

    /// Waits for the next message with these words; passes over others.
    pub(in crate::process) fn expect(&mut self, words: &str) -> Sent {
        let seen = self.seen;
        let found = self.wait_for(&format!("a message with {words:?}"), |world| {
            let messages = world.messages();
            messages.into_iter().find(|sent| sent.seq > seen && sent.text.contains(words))
        });
        self.seen = found.seq;
        found
    }

    /// Waits for a message with these words, wherever it stands.
    pub(in crate::process) fn told(&self, words: &str) -> Sent {
        self.wait_for(&format!("a message with {words:?}"), |world| {
            world.messages().into_iter().find(|sent| sent.text.contains(words))
        })
    }

    /// Asks pivot-trading for something without the chat, and waits.
    pub(in crate::process) fn ask(&self, action: OperatorAction) -> Answer {
        let request = self.ask_in_passing(action);
        let store = self.store(Role::Reader);
        self.wait_for("an answer", |_| store.answers(request).unwrap().pop())
    }

    /// Asks without waiting; answers the number of the request.
    pub(in crate::process) fn ask_in_passing(&self, action: OperatorAction) -> i64 {
        let request = Request {
            source: Source::Ctl,
            update_id: None,
            chat: None,
            user: None,
            actor: "test".into(),
            ask: Ask::Operator(action),
            asked_at: self.now(),
        };
        self.store(Role::Ctl).ask(&request).unwrap().0
    }

    /// Allows entries after a panic.
    pub(in crate::process) fn enable(&self) {
        self.wait_for("permission", |world| {
            let answer = world.ask(OperatorAction::Enable { confirmed: true });
            answer.done.then_some(())
        });
    }
}
