//! The thread that serves all connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use kvm_bindings::kvm_msi;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::client::Client;
use super::command::{Answer, Body, Command};
use super::socket::Listener;
use super::worker::{self, Answers, Job};
use crate::background;
use crate::confinement::Role;
use crate::ending::Ending;
use crate::error::{Error, Result};
use crate::layout;
use crate::shared::Shared;

/// How many connections there are at most. One more takes the place of the one that has said nothing for longest.
const CLIENTS_MAX: usize = 16;
/// How long no connection is taken where the operating system has no descriptor left.
const DEAF: Duration = Duration::from_millis(100);
/// How long what is being done when the run ends may still take.
const PATIENCE: Duration = Duration::from_millis(500);

/// An interrupt message to a local APIC, and the delivery mode of a non-maskable interrupt in its data. Source: Intel
/// SDM volume 3A, "Message Signalled Interrupts".
const MSI_DESTINATION_SHIFT: u32 = 12;
const MSI_NMI: u32 = 0b100 << 8;

/// What does not change in a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) cpus: usize,
    pub(crate) memory_bytes: u64,
    /// Whether there is a power button.
    pub(crate) has_power: bool,
}

/// The thread that serves the connections, until this is dropped.
#[must_use = "no command is served once this is dropped"]
pub(crate) struct Server {
    answers: Arc<Answers>,
    is_closed: Arc<AtomicBool>,
    threads: [JoinHandle<()>; 2],
}

impl Server {
    /// Begins to serve. To be called once the CPUs run.
    ///
    /// # Errors
    ///
    /// Fails where the operating system does.
    pub(crate) fn start(listener: Listener, facts: Facts, shared: &Arc<Shared>) -> Result<Self> {
        let answers = Answers::new()?;
        let is_closed = Arc::new(AtomicBool::new(false));
        let (jobs, to_do) = channel();
        let of_worker = Arc::clone(&answers);
        let worker = background::spawn("control-work", Role::Control, Arc::clone(shared), move |shared| {
            worker::work(shared, &to_do, &of_worker);
        })?;
        let (of_loop, closed) = (Arc::clone(&answers), Arc::clone(&is_closed));
        let server = background::spawn("control", Role::Control, Arc::clone(shared), move |shared| {
            let (clients, began) = (Vec::new(), Instant::now());
            let connections =
                Connections { listener, facts, shared, jobs, clients, next: 0, deaf_until: None, began };
            connections.serve(&of_loop, &closed);
        })?;
        Ok(Self { answers, is_closed, threads: [server, worker] })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_closed.store(true, SeqCst);
        self.answers.wake();
        let deadline = Instant::now() + PATIENCE;
        while self.threads.iter().any(|thread| !thread.is_finished()) && Instant::now() < deadline {
            thread::sleep(Duration::from_micros(100));
        }
    }
}

struct Connections<'a> {
    listener: Listener,
    facts: Facts,
    shared: &'a Shared,
    jobs: Sender<(u64, Job)>,
    clients: Vec<Client>,
    /// The number of the next client.
    next: u64,
    deaf_until: Option<Instant>,
    began: Instant,
}

impl Connections<'_> {
    fn serve(mut self, answers: &Answers, is_closed: &AtomicBool) {
        while !is_closed.load(SeqCst) {
            self.wait(answers);
            for (number, answer) in answers.take() {
                if let Some(client) = self.clients.iter_mut().find(|client| client.number == number) {
                    client.answer(&answer);
                }
            }
            // One command of each in a round, so that nobody who says much is heard alone.
            for at in 0..self.clients.len() {
                if let Some(line) = self.clients[at].command()
                    && let Some(answer) = self.obey(self.clients[at].number, &line)
                {
                    self.clients[at].answer(&answer);
                }
            }
            self.clients.retain(|client| !client.is_gone());
        }
    }

    /// Waits for something to happen, and has clients read and write.
    fn wait(&mut self, answers: &Answers) {
        let now = Instant::now();
        self.deaf_until = self.deaf_until.filter(|until| *until > now);
        let at_most = if self.clients.iter().any(Client::has_more) {
            Some(Duration::ZERO)
        } else {
            self.deaf_until.map(|until| until - now)
        };
        let listening = if self.deaf_until.is_some() { PollFlags::empty() } else { PollFlags::IN };
        let mut polled =
            vec![PollFd::new(&answers.ready, PollFlags::IN), PollFd::new(&self.listener.0, listening)];
        polled.extend(
            self.clients.iter().filter_map(|client| Some(PollFd::new(&client.stream, client.interest()?))),
        );
        let at_most = at_most.and_then(|at_most| Timespec::try_from(at_most).ok());
        if poll(&mut polled, at_most.as_ref()).is_err() {
            // Interrupted.
            return;
        }
        let ready: Vec<PollFlags> = polled.iter().map(PollFd::revents).collect();
        let polled = self.clients.iter_mut().filter(|client| client.interest().is_some());
        for (client, ready) in polled.zip(&ready[2..]) {
            client.serve(*ready);
        }
        if ready[1].contains(PollFlags::IN) {
            self.accept();
        }
    }

    fn accept(&mut self) {
        match self.listener.0.accept() {
            Ok((stream, _)) if stream.set_nonblocking(true).is_ok() => {
                if self.clients.len() >= CLIENTS_MAX
                    && let Some((at, _)) =
                        self.clients.iter().enumerate().min_by_key(|(_, client)| client.heard)
                {
                    self.clients.swap_remove(at);
                }
                self.clients.push(Client::new(stream, self.next));
                self.next += 1;
            }
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => self.deaf_until = Some(Instant::now() + DEAF),
        }
    }

    /// Does what a command says; none where the answer comes later.
    fn obey(&self, client: u64, line: &[u8]) -> Option<Answer> {
        let command = match Command::read(line) {
            Ok(command) => command,
            Err(error) => return Some(Err(error).into()),
        };
        let job = match command {
            Command::Status {} => return Some(Ok::<_, Error>(self.status()).into()),
            Command::Stats {} => return Some(Ok::<_, Error>(self.stats()).into()),
            Command::Nmi { cpu } => return Some(self.interrupt(cpu).into()),
            Command::Powerdown {} => return Some(self.press_power_button().into()),
            Command::Quit {} => {
                self.shared.end_from_outside(Ending::Quit);
                // Where only output is waited for, that is to be seen too.
                let _ = self.shared.over.write(1);
                return Some(Ok::<_, Error>(Body::Done {}).into());
            }
            Command::Pause {} => Job::Pause,
            Command::Resume {} => Job::Resume,
            Command::Snapshot { file } => Job::Snapshot(file),
        };
        match self.jobs.send((client, job)) {
            Ok(()) => None,
            Err(_) => Some(Err(Error::RunOver).into()),
        }
    }

    fn status(&self) -> Body {
        let state = match () {
            () if self.shared.is_over() => "ending",
            () if self.shared.pause.is_still() => "paused",
            () => "running",
        };
        let Facts { cpus, memory_bytes, .. } = self.facts;
        Body::Status { state, cpus, memory_bytes, milliseconds: self.began.elapsed().as_millis() as u64 }
    }

    fn stats(&self) -> Body {
        let exits = (0..self.facts.cpus).map(|cpu| self.shared.book.kinds(cpu)).collect();
        Body::Stats { exits, vmi: self.shared.port_call_counts() }
    }

    fn interrupt(&self, cpu: usize) -> Result<Body> {
        let cpus = self.facts.cpus;
        if cpu >= cpus {
            return Err(Error::Option(format!("there is no CPU {cpu}: the guest's are 0 to {}", cpus - 1)));
        }
        let address_lo = layout::LOCAL_APIC | (cpu as u32) << MSI_DESTINATION_SHIFT;
        let message = kvm_msi { address_lo, data: MSI_NMI, ..Default::default() };
        if let Some(vm) = &self.shared.vm {
            vm.signal_msi(message).map_err(Error::kvm("interrupt a CPU"))?;
        }
        Ok(Body::Done {})
    }

    fn press_power_button(&self) -> Result<Body> {
        if !self.facts.has_power {
            return Err(Error::Option("the guest has no power button, for `power` was left out".to_owned()));
        }
        if let Some(vm) = &self.shared.vm {
            for is_pressed in [true, false] {
                vm.set_irq_line(layout::POWER_BUTTON_IRQ, is_pressed)
                    .map_err(Error::kvm("press the power button"))?;
            }
        }
        Ok(Body::Done {})
    }
}
