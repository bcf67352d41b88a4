//! What keeps an order call back at the last moment.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use pivot_trading::clock::Clock;
use pivot_trading::engine::event::{Outcome, Refusal};
use pivot_trading::kite::{Client, ClientOptions, Lane};
use pivot_trading::market::{
    Exchange, InstrumentKey, OrderChange, OrderId, OrderRequest, OrderType, Price, Product, Side,
    Tag,
};

#[tokio::test]
async fn no_order_call_leaves_when_the_last_look_says_no() {
    let broker = TcpListener::bind("127.0.0.1:0").unwrap();
    broker.set_nonblocking(true).unwrap();
    let client = Client::new(ClientOptions {
        base_url: format!("http://{}", broker.local_addr().unwrap()),
        api_key: "key".into(),
        timeout: Duration::from_secs(1),
        clock: Clock::system(),
    })
    .unwrap();
    client.set_session("token".into());
    client.set_last_look(Arc::new(|| Err("somebody else writes the journal".into())));
    let price = Price::from_rupees(100);
    let order = OrderRequest {
        instrument: InstrumentKey::new(Exchange::Nse, "INFY"),
        side: Side::Sell,
        order_type: OrderType::Limit,
        product: Product::Mis,
        quantity: 1,
        price,
        trigger: None,
        tag: Tag::new("P1123I001X1").unwrap(),
    };
    let id = OrderId("1".into());
    let change = OrderChange { price: Some(price), ..OrderChange::default() };
    let outcomes = [
        client.submit(&order, Lane::Entry).await,
        client.submit(&order, Lane::Exit).await,
        client.modify(&id, &change).await,
        client.cancel(&id).await,
    ];
    for outcome in outcomes {
        let kept = matches!(&outcome, Outcome::Refused { refusal: Refusal::Gate, message }
            if message.contains("somebody else"));
        assert!(kept, "{outcome:?}");
    }
    let called = broker.accept().map(|_| ()).map_err(|error| error.kind());
    assert_eq!(called, Err(std::io::ErrorKind::WouldBlock));
    // Asked again each time: as soon as nothing speaks against it, it leaves.
    client.set_last_look(Arc::new(|| Ok(())));
    client.cancel(&id).await;
    broker.accept().unwrap();
}
