"""Drives the simulated Kite with the official Python client.

The client is unmodified but for its URLs. Every call is checked for what the
client makes of it; the first mismatch ends the run with a message and exit
code 1.

    python kiteconnect_compat.py KITE_URL TICKER_URL [API_KEY API_SECRET]
"""

import datetime
import sys
import threading
import time
from urllib.parse import parse_qs, urlparse

import requests
from kiteconnect import KiteConnect, KiteTicker
from kiteconnect import exceptions

WAIT_S = 20
PACE_S = 0.12  # ten calls a second are allowed
SENSEX, NIFTY = 265, 256265
IST = datetime.timezone(datetime.timedelta(hours=5, minutes=30))


def check(condition, what, *details):
    if not condition:
        raise SystemExit("MISMATCH: %s %s" % (what, " ".join(repr(each) for each in details)))
    time.sleep(PACE_S)
    print("ok  ", what)


def refused(kind, what, call, *args, **kwargs):
    try:
        answer = call(*args, **kwargs)
    except kind as error:
        check(True, what)
        return error
    except Exception as error:  # any other kind is a mismatch
        check(False, what, "expected", kind.__name__, "was", type(error).__name__, str(error))
    check(False, what, "was accepted", answer)


def wait_for(condition, what):
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        time.sleep(PACE_S)
        found = condition()
        if found:
            check(True, what)
            return found
    check(False, what, "did not happen within", WAIT_S, "s")


def quotes_pause():
    """The quote calls are limited to one a second."""
    time.sleep(1.05)


def login(kite, kite_url, api_secret):
    kite._default_login_uri = kite_url + "/connect/login"
    page = requests.get(kite.login_url(), params={"redirect_params": "state=s%20t"})
    check(page.status_code == 200 and "<form" in page.text, "login page")
    answer = requests.post(
        kite_url + "/connect/login",
        data={"api_key": kite.api_key, "redirect_params": "state=s%20t",
              "user_id": "SIM001", "password": "x", "totp": "000000"},
        allow_redirects=False)
    check(answer.status_code == 302, "login redirects", answer.status_code)
    query = parse_qs(urlparse(answer.headers["location"]).query)
    check(query["status"] == ["success"] and query["action"] == ["login"], "login succeeds", query)
    check(query["state"] == ["s t"], "redirect_params come back", query)
    cancelled = requests.post(kite_url + "/connect/login",
                              data={"api_key": kite.api_key, "cancel": "1"}, allow_redirects=False)
    check("status=cancelled" in cancelled.headers["location"], "login can be cancelled")
    token = query["request_token"][0]
    refused(exceptions.TokenException, "a wrong secret is refused",
            kite.generate_session, token, "not-the-secret")
    session = kite.generate_session(token, api_secret)
    check(isinstance(session["login_time"], datetime.datetime), "session has a login time")
    check(session["api_key"] == kite.api_key and session["access_token"], "session has a token")
    refused(exceptions.TokenException, "a request token works once",
            kite.generate_session, token, api_secret)
    return session


def account(kite, session):
    profile = kite.profile()
    check(profile["user_id"] == session["user_id"], "profile")
    check({"NSE", "NFO", "BSE", "BFO"} <= set(profile["exchanges"]), "profile lists exchanges")
    margins = kite.margins()
    check(set(margins) == {"equity", "commodity"}, "margins of both segments")
    check(margins["equity"]["net"] > 0, "there are funds", margins["equity"])
    check(kite.margins(segment="equity")["available"].keys() >=
          {"cash", "live_balance", "opening_balance"}, "margins of one segment")
    check(kite.holdings() == [] or "isin" in kite.holdings()[0], "holdings")
    check(kite.get_auction_instruments() == [], "auctions")
    check(isinstance(kite.orders(), list) and isinstance(kite.trades(), list), "empty books")


def instruments(kite):
    everything = kite.instruments()
    check(len(everything) > 100, "instruments", len(everything))
    tokens = {row["instrument_token"] for row in everything}
    check({SENSEX, NIFTY} <= tokens, "both indices are listed")
    bfo = kite.instruments("BFO")
    check(bfo and all(row["exchange"] == "BFO" for row in bfo), "instruments of one exchange")
    chain = [row for row in bfo
             if row["name"] == "SENSEX" and row["instrument_type"] in ("CE", "PE")]
    check(all(isinstance(row["expiry"], datetime.date) for row in chain), "options have an expiry")
    check(all(row["lot_size"] > 0 and row["tick_size"] > 0 for row in chain), "lots and ticks")
    return everything, chain


def quotes(kite, chain):
    quotes_pause()
    ltp = kite.ltp("BSE:SENSEX", "NSE:NIFTY 50", "NSE:NO SUCH THING")
    check(set(ltp) == {"BSE:SENSEX", "NSE:NIFTY 50"}, "ltp; unknown symbols are absent", ltp)
    spot = ltp["BSE:SENSEX"]["last_price"]
    nearest = min(row["expiry"] for row in chain)
    option = min((row for row in chain
                  if row["expiry"] == nearest and row["instrument_type"] == "CE"),
                 key=lambda row: abs(row["strike"] - spot))
    symbol = "BFO:" + option["tradingsymbol"]
    quotes_pause()
    ohlc = kite.ohlc(symbol)[symbol]
    check(set(ohlc) == {"instrument_token", "last_price", "ohlc"}, "ohlc")
    quotes_pause()
    full = kite.quote(symbol, "BSE:SENSEX")
    quote = full[symbol]
    check(quote["instrument_token"] == option["instrument_token"], "quote has the token")
    check(isinstance(quote["timestamp"], datetime.datetime), "quote has a time")
    check(len(quote["depth"]["buy"]) == 5 and len(quote["depth"]["sell"]) == 5, "depth of five")
    bid, ask = (quote["depth"][side][0]["price"] for side in ("buy", "sell"))
    check(0 < bid < ask, "bid below ask", bid, ask)
    check("depth" not in full["BSE:SENSEX"], "an index has no depth")
    refused(exceptions.NetworkException, "a second quote within the second is refused",
            kite.quote, symbol)
    return option


def history(kite, option, now):
    yesterday = (now - datetime.timedelta(days=7)).replace(hour=9, minute=15, second=0)
    candles = kite.historical_data(SENSEX, yesterday, now, "3minute")
    check(len(candles) > 100, "three-minute candles of a week", len(candles))
    first = candles[0]
    check(set(first) >= {"date", "open", "high", "low", "close", "volume"}, "candle fields")
    check(first["date"].utcoffset() == datetime.timedelta(hours=5, minutes=30), "candles in IST")
    check(all(row["low"] <= min(row["open"], row["close"])
              and max(row["open"], row["close"]) <= row["high"] for row in candles), "sane candles")
    days = kite.historical_data(SENSEX, "2026-11-01", "2026-11-20", "day")
    check(10 <= len(days) <= 20, "day candles", len(days))
    with_oi = kite.historical_data(option["instrument_token"], yesterday, now, "minute", oi=True)
    check(all("oi" in row for row in with_oi), "open interest on request")
    time.sleep(1)
    refused(exceptions.InputException, "a span too long is refused", kite.historical_data,
            SENSEX, "2026-01-01", "2026-11-20", "minute")
    refused(exceptions.InputException, "an unknown interval is refused", kite.historical_data,
            SENSEX, "2026-11-01", "2026-11-20", "7minute")


class Feed:
    """A KiteTicker with everything it heard."""

    def __init__(self, ticker_url, api_key, access_token, modes):
        self.modes = modes
        self.ticks, self.orders, self.texts, self.errors = {}, [], [], []
        self.heartbeats, self.opened = 0, threading.Event()
        self.ticker = KiteTicker(api_key, access_token, root=ticker_url)
        self.ticker.on_connect = self.on_connect
        self.ticker.on_ticks = self.on_ticks
        self.ticker.on_message = self.on_message
        self.ticker.on_order_update = lambda _, data: self.orders.append(data)
        self.ticker.on_error = lambda _, code, reason: self.errors.append((code, reason))
        self.ticker.connect(threaded=True)

    def on_connect(self, ticker, _):
        for mode, tokens in self.modes.items():
            ticker.subscribe(tokens)
            ticker.set_mode(mode, tokens)
        self.opened.set()

    def on_ticks(self, _, ticks):
        for tick in ticks:
            self.ticks.setdefault(tick["instrument_token"], []).append(tick)

    def on_message(self, _, payload, is_binary):
        if is_binary and len(payload) == 1:
            self.heartbeats += 1
        elif not is_binary:
            self.texts.append(payload)

    def last(self, token, mode):
        ticks = [tick for tick in self.ticks.get(token, []) if tick["mode"] == mode]
        return ticks[-1] if ticks else None


def feed(ticker_url, kite, option, other):
    token, spare = option["instrument_token"], other["instrument_token"]
    feed = Feed(ticker_url, kite.api_key, kite.access_token,
                {"full": [token, SENSEX], "quote": [spare], "ltp": [NIFTY]})
    wait_for(feed.opened.is_set, "ticker opens")
    full = wait_for(lambda: feed.last(token, "full"), "full ticks")
    check(full["tradable"] and len(full["depth"]["buy"]) == 5, "a full tick has depth")
    check(full["depth"]["buy"][0]["price"] < full["depth"]["sell"][0]["price"], "tick spread")
    index = wait_for(lambda: feed.last(SENSEX, "full"), "full ticks of an index")
    check(not index["tradable"] and "depth" not in index, "an index has no depth")
    check(index["ohlc"]["high"] >= index["last_price"] >= index["ohlc"]["low"], "index day range")
    quote = wait_for(lambda: feed.last(spare, "quote"), "quote ticks")
    check("depth" not in quote and "volume_traded" in quote, "a quote tick has no depth")
    check(set(wait_for(lambda: feed.last(NIFTY, "ltp"), "ltp ticks")) ==
          {"tradable", "mode", "instrument_token", "last_price"}, "an ltp tick is short")
    wait_for(lambda: len(feed.ticks[SENSEX]) > 5, "ticks keep coming")
    stamps = [tick["exchange_timestamp"] for tick in feed.ticks[SENSEX] if "exchange_timestamp" in tick]
    check(stamps == sorted(stamps), "ticks are in order")
    wait_for(lambda: feed.heartbeats, "heartbeats")
    check(any("instruments_meta" in str(text) for text in feed.texts), "greeting frame")
    return feed


def rows_by_id(rows):
    return {row["order_id"]: row for row in rows}


def orders(kite, feed, option):
    symbol = option["tradingsymbol"]
    lot = option["lot_size"]
    common = dict(variety=kite.VARIETY_REGULAR, exchange=kite.EXCHANGE_BFO, tradingsymbol=symbol,
                  product=kite.PRODUCT_MIS)
    refused(exceptions.InputException, "a market order without protection is refused",
            kite.place_order, order_type="MARKET", quantity=lot, transaction_type="BUY", **common)
    refused(exceptions.InputException, "a missing field is refused", kite.place_order,
            order_type="", quantity=lot, transaction_type="BUY", **common)
    quotes_pause()
    quote = kite.quote("BFO:" + symbol)["BFO:" + symbol]
    bid, ask = (quote["depth"][side][0]["price"] for side in ("buy", "sell"))
    far = round((bid * 0.9) / 0.05) * 0.05

    resting = kite.place_order(order_type="LIMIT", quantity=lot, price=round(far, 2),
                               transaction_type="BUY", validity="DAY", tag="compat1", **common)
    check(isinstance(resting, str), "an order id is a string", resting)
    row = wait_for(lambda: next((row for row in kite.orders() if row["order_id"] == resting
                                 and row["status"] == "OPEN"), None), "a low bid rests")
    check(row["tag"] == "compat1" and row["pending_quantity"] == lot, "order row", row)
    check(isinstance(row["order_timestamp"], datetime.datetime), "order row has a time")
    kite.modify_order(kite.VARIETY_REGULAR, resting, price=round(far + 0.05, 2))
    wait_for(lambda: abs(rows_by_id(kite.orders())[resting]["price"] - far - 0.05) < 1e-6,
             "a modification takes effect")
    kite.cancel_order(kite.VARIETY_REGULAR, resting)
    wait_for(lambda: rows_by_id(kite.orders())[resting]["status"] == "CANCELLED", "cancelled")
    states = [row["status"] for row in kite.order_history(resting)]
    check(states[-1] == "CANCELLED" and "OPEN" in states, "order history", states)
    refused((exceptions.OrderException, exceptions.InputException),
            "a finished order cannot be cancelled",
            kite.cancel_order, kite.VARIETY_REGULAR, resting)

    limit = round(round(ask * 1.03 / 0.05) * 0.05, 2)
    bought = kite.place_order(order_type="LIMIT", quantity=lot, price=limit,
                              transaction_type="BUY", tag="compat2", **common)
    wait_for(lambda: rows_by_id(kite.orders())[bought]["status"] == "COMPLETE", "a high bid fills")
    row = rows_by_id(kite.orders())[bought]
    check(0 < row["average_price"] <= limit, "filled within the limit", row["average_price"])
    fills = kite.order_trades(bought)
    check(sum(fill["quantity"] for fill in fills) == lot, "trades of the order")
    check(any(fill["order_id"] == bought for fill in kite.trades()), "trades of the day")
    position = next(row for row in kite.positions()["net"] if row["tradingsymbol"] == symbol)
    check(position["quantity"] == lot, "the position is there", position)

    sold = kite.place_order(order_type="MARKET", quantity=lot, transaction_type="SELL",
                            market_protection=-1, tag="compat3", **common)
    wait_for(lambda: rows_by_id(kite.orders())[sold]["status"] == "COMPLETE",
             "a protected market order fills")
    position = next(row for row in kite.positions()["net"] if row["tradingsymbol"] == symbol)
    check(position["quantity"] == 0, "flat again")
    for order_id, status in ((resting, "CANCELLED"), (bought, "COMPLETE"), (sold, "COMPLETE")):
        update = wait_for(lambda: next((data for data in feed.orders
                                        if data["order_id"] == order_id
                                        and data["status"] == status), None),
                          "order update on the ticker: " + status)
        check(update["tradingsymbol"] == symbol and "unfilled_quantity" in update, "its fields")


def calculators(kite, option):
    order = {"exchange": "BFO", "tradingsymbol": option["tradingsymbol"], "variety": "regular",
             "transaction_type": "BUY", "product": "MIS", "order_type": "LIMIT",
             "quantity": option["lot_size"], "price": 100, "trigger_price": 0}
    time.sleep(1)
    margin = kite.order_margins([order])[0]
    check(margin["total"] >= option["lot_size"] * 100, "margin of a bought option", margin)
    basket = kite.basket_order_margins([order, order])
    check(len(basket["orders"]) == 2 and basket["final"]["total"] > 0, "margin of a basket")
    note = kite.get_virtual_contract_note([dict(order, order_id="1", average_price=100)])[0]
    check(note["charges"]["brokerage"] > 0 and note["charges"]["total"] > 0, "charges", note)


def ticker_limits(ticker_url, feed):
    feed.ticker.subscribe([str(SENSEX)])
    wait_for(lambda: any("parsing" in str(reason) for _, reason in feed.errors),
             "a token in quotes is complained about")
    feed.ticker.unsubscribe([SENSEX])
    time.sleep(1.5)
    before = len(feed.ticks[SENSEX])
    time.sleep(2.5)
    check(len(feed.ticks[SENSEX]) == before, "no ticks after unsubscribing")
    feed.ticker.close()


def logout(kite):
    died = []
    kite.set_session_expiry_hook(lambda: died.append(True))
    check(kite.invalidate_access_token() is True, "logout")
    refused(exceptions.TokenException, "a dead token is refused", kite.profile)
    check(died == [True], "the client notices that the session died")


def main():
    kite_url, ticker_url = sys.argv[1].rstrip("/"), sys.argv[2].rstrip("/")
    api_key, api_secret = (sys.argv[3:] + ["demo_key", "demo_secret"])[:2] \
        if len(sys.argv) >= 5 else ("demo_key", "demo_secret")
    kite = KiteConnect(api_key, root=kite_url)
    session = login(kite, kite_url, api_secret)
    account(kite, session)
    time.sleep(1)
    everything, chain = instruments(kite)
    now = session["login_time"]
    option = quotes(kite, chain)
    history(kite, option, now.replace(tzinfo=None))
    other = next(row for row in chain if row["instrument_token"] != option["instrument_token"]
                 and row["expiry"] == option["expiry"]
                 and abs(row["strike"] - option["strike"]) < 500)
    live = feed(ticker_url, kite, option, other)
    orders(kite, live, option)
    calculators(kite, option)
    ticker_limits(ticker_url, live)
    logout(kite)
    print("the official client and the simulated Kite agree")


if __name__ == "__main__":
    main()
