<?php

declare(strict_types=1);

namespace Acme\Shop\Web;

use Acme\Shop\Cache;
use Acme\Shop\Database;
use Acme\Shop\Log;
use Acme\Shop\Mailer;
use Acme\Shop\MessageQueue;
use Acme\Shop\Schema\Migrator;
use Acme\Shop\Settings;

/** Every page of the shop. */
final class FrontController
{
    private readonly Log $log;

    public function __construct(private readonly Settings $settings)
    {
        $this->log = new Log($settings->logFile);
    }

    /** @param array<string, mixed> $query */
    public function answer(string $method, string $path, array $query): void
    {
        header('X-Shop-Version: ' . $this->settings->version);
        header('X-Shop-Node: ' . $this->settings->node);
        header('Cache-Control: no-store');
        try {
            match ("$method $path") {
                'GET /', 'HEAD /', 'GET /index.php' => $this->home(),
                'GET /health', 'HEAD /health' => $this->health(),
                'POST /order' => $this->order((string) ($query['mail'] ?? 'buyer@example.com')),
                'GET /slow' => $this->slow((int) ($query['ms'] ?? 300)),
                'GET /error' => throw new \LogicException('somebody asked for an error'),
                default => $this->send(404, 'text/plain', "not found\n"),
            };
        } catch (\Throwable $error) {
            $this->log->error('request', sprintf('Uncaught PHP Exception %s: "%s"', $error::class, $error->getMessage()), $error);
            $this->send(500, 'text/plain', "the shop has a problem\n");
        }
        if ($path !== '/health') {
            $this->log->info('app', 'Request answered.', [
                'method' => $method,
                'path' => $path,
                'status' => http_response_code(),
                'node' => $this->settings->node,
            ]);
        }
    }

    private function home(): void
    {
        $database = Database::connect($this->settings);
        $version = $this->settings->version;
        $node = $this->settings->node;
        $schema = (new Migrator($database))->currentVersion();
        $orders = $schema === 0 ? 0 : $database->query('select count(*) from orders')->fetchColumn();
        $maintenance = is_file($this->settings->maintenanceFile) ? 'on' : 'off';
        $template = (new Cache($this->settings))->template('home.html');
        ob_start();
        require $template;
        $this->send(200, 'text/html', (string) ob_get_clean());
    }

    private function health(): void
    {
        $schema = (new Migrator(Database::connect($this->settings)))->currentVersion();
        $this->sendJson(200, [
            'status' => 'ok',
            'version' => $this->settings->version,
            'node' => $this->settings->node,
            'schema' => $schema,
        ]);
    }

    private function order(string $buyer): void
    {
        $id = Database::connect($this->settings)
            ->query('insert into orders default values returning id')
            ->fetchColumn();
        $this->log->info('app', 'Order placed.', ['order' => $id, 'node' => $this->settings->node]);
        MessageQueue::connect($this->settings)?->send('oro.default', ['order' => $id]);
        $this->confirm((int) $id, $buyer);
        $this->sendJson(201, ['order' => $id]);
    }

    /** An order stands also where its mail cannot be sent. */
    private function confirm(int $order, string $buyer): void
    {
        if (filter_var($buyer, FILTER_VALIDATE_EMAIL) === false) {
            return;
        }
        try {
            $text = "Thank you for order $order.\n{$this->settings->node}";
            Mailer::connect($this->settings)?->send($buyer, "Order $order", $text);
        } catch (\RuntimeException $error) {
            $this->log->error('mailer', "No mail about order $order.", $error);
        }
    }

    /** A page that takes its time: for tests of draining and of requests in flight. */
    private function slow(int $milliseconds): void
    {
        $milliseconds = max(0, min($milliseconds, 60_000));
        usleep($milliseconds * 1000);
        $this->send(200, 'text/plain', "{$this->settings->version} after $milliseconds ms\n");
    }

    /** @param array<string, mixed> $value */
    private function sendJson(int $status, array $value): void
    {
        $this->send($status, 'application/json', json_encode($value, JSON_THROW_ON_ERROR) . "\n");
    }

    private function send(int $status, string $type, string $body): void
    {
        http_response_code($status);
        header("Content-Type: $type; charset=utf-8");
        header('Content-Length: ' . strlen($body));
        echo $body;
    }
}
