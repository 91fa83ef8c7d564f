//! A mail server over a real socket, as much of RFC 5321 as a client needs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};

/// The server; it lives as long as the test's runtime.
pub(crate) struct SmtpDouble {
    address: std::net::SocketAddr,
    /// How many mails it turns away before it takes one.
    turn_away: Arc<AtomicUsize>,
    /// How many mails were offered.
    offered: Arc<AtomicUsize>,
    taken: Mutex<mpsc::UnboundedReceiver<String>>,
}

impl SmtpDouble {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (turn_away, offered) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let (sender, taken) = mpsc::unbounded_channel();
        let counters = (turn_away.clone(), offered.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (sender, (turn_away, offered)) = (sender.clone(), counters.clone());
                tokio::spawn(async move {
                    // A client that goes away is its own affair.
                    let _ = talk(stream, &turn_away, &offered, &sender).await;
                });
            }
        });
        Self {
            address,
            turn_away,
            offered,
            taken: Mutex::new(taken),
        }
    }

    /// The settings of a service that sends its mail here.
    pub(crate) fn settings(&self) -> [String; 6] {
        [
            "--smtp-url".into(),
            format!("smtp://{}", self.address),
            "--mail-from".into(),
            "Millgate <noreply@example.com>".into(),
            "--reset-url".into(),
            "https://app.example.com/reset#{token}".into(),
        ]
    }

    pub(crate) fn turn_away(&self, mails: usize) {
        self.turn_away.store(mails, Ordering::SeqCst);
    }

    pub(crate) fn offered(&self) -> usize {
        self.offered.load(Ordering::SeqCst)
    }

    /// The next mail: envelope and text, lines ended by line feeds.
    pub(crate) async fn next(&self) -> String {
        let mut taken = self.taken.lock().await;
        let waited = tokio::time::timeout(std::time::Duration::from_secs(30), taken.recv()).await;
        waited.expect("a mail in time").expect("the server runs")
    }

    /// Whether a mail has come that nobody has taken.
    pub(crate) async fn is_empty(&self) -> bool {
        self.taken.lock().await.is_empty()
    }
}

async fn talk(
    stream: TcpStream,
    turn_away: &AtomicUsize,
    offered: &AtomicUsize,
    taken: &mpsc::UnboundedSender<String>,
) -> std::io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    writer.write_all(b"220 double ESMTP\r\n").await?;
    let mut mail = String::new();
    while let Some(line) = lines.next_line().await? {
        let verb = line.split([' ', ':']).next().unwrap_or_default();
        let answer = match verb.to_ascii_uppercase().as_str() {
            "EHLO" => "250-double\r\n250 8BITMIME\r\n",
            "MAIL" | "RCPT" => {
                mail.push_str(&line);
                mail.push('\n');
                "250 good\r\n"
            }
            "DATA" => {
                writer.write_all(b"354 go on\r\n").await?;
                while let Some(line) = lines.next_line().await? {
                    if line == "." {
                        break;
                    }
                    mail.push_str(&line);
                    mail.push('\n');
                }
                offered.fetch_add(1, Ordering::SeqCst);
                let less = |left: usize| left.checked_sub(1);
                let refuse = turn_away.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
                // Real ones repeat what they did not like.
                let words = mail.lines().find(|line| line.contains("https://"));
                if refuse.is_ok() {
                    let echo = format!("451 later: {}\r\n", words.unwrap_or_default());
                    writer.write_all(echo.as_bytes()).await?;
                    mail.clear();
                    continue;
                }
                let _ = taken.send(std::mem::take(&mut mail));
                "250 taken\r\n"
            }
            "QUIT" => {
                writer.write_all(b"221 bye\r\n").await?;
                return Ok(());
            }
            _ => "250 good\r\n",
        };
        writer.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}
