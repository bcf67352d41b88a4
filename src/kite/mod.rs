//! Kite Connect v3: REST, ticker, rate limits, and what each answer means.
