//! The engine, driven event by event against a small broker made for it.

mod broker;
mod fixture;
mod rig;

mod answers;
mod beside;
mod calendar;
mod differences;
mod evening;
mod faults;
mod guards;
mod intent;
mod last_look;
mod leaving;
mod operator;
mod outcomes;
mod pending;
mod prices;
mod races;
mod reads;
mod scenarios;
mod settling;
mod steering;
mod strangers;
mod trouble;
mod truth;
