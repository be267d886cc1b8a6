<?php

declare(strict_types=1);

namespace Acme\Shop;

/** Mail by SMTP, through the server that a DSN such as `smtp://mail1:25` names. */
final class Mailer
{
    private const SENDER = 'shop@example.com';

    /** @param resource $connection */
    private function __construct(private $connection, private readonly Settings $settings)
    {
        $this->expect('220');
        $this->command('EHLO ' . $settings->node, '250');
    }

    /** Null where no server is set up. */
    public static function connect(Settings $settings): ?self
    {
        if ($settings->mailerDsn === '') {
            return null;
        }
        $url = parse_url($settings->mailerDsn);
        if (!is_array($url) || ($url['scheme'] ?? '') !== 'smtp' || !isset($url['host'])) {
            throw new \RuntimeException('ORO_MAILER_DSN is no DSN of SMTP: smtp://HOST:PORT');
        }
        $connection = @fsockopen($url['host'], $url['port'] ?? 25, $number, $error, 5);
        if ($connection === false) {
            throw new \RuntimeException("no connection to {$url['host']} for mail: $error");
        }
        stream_set_timeout($connection, 5);

        return new self($connection, $settings);
    }

    public function send(string $to, string $subject, string $text): void
    {
        $this->command('MAIL FROM:<' . self::SENDER . '>', '250');
        $this->command("RCPT TO:<$to>", '250');
        $this->command('DATA', '354');
        $lines = [
            'From: ' . self::SENDER,
            "To: $to",
            "Subject: $subject",
            'Date: ' . gmdate('D, d M Y H:i:s') . ' +0000',
            sprintf('Message-ID: <%s@%s.example.com>', bin2hex(random_bytes(12)), $this->settings->node),
            'Content-Type: text/plain; charset=utf-8',
            '',
            ...explode("\n", $text),
        ];
        // A line that is a dot would end the message.
        $lines = array_map(static fn (string $line): string => str_starts_with($line, '.') ? ".$line" : $line, $lines);
        $this->command(implode("\r\n", $lines) . "\r\n.", '250');
        $this->command('QUIT', '221');
        fclose($this->connection);
    }

    private function command(string $line, string $expected): void
    {
        fwrite($this->connection, "$line\r\n");
        $this->expect($expected);
    }

    private function expect(string $code): void
    {
        do {
            $line = (string) fgets($this->connection);
        } while (substr($line, 3, 1) === '-');
        if (!str_starts_with($line, $code)) {
            throw new \RuntimeException('mail was not taken: ' . ($line === '' ? 'no answer' : trim($line)));
        }
    }
}
