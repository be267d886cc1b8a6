<?php

declare(strict_types=1);

namespace Acme\Shop;

/** Messages by RabbitMQ, reached by a URL such as `amqp://app:secret@127.0.0.1:5672/oro`. */
final class MessageQueue
{
    private readonly \AMQPChannel $channel;

    private function __construct(\AMQPConnection $connection)
    {
        $this->channel = new \AMQPChannel($connection);
        // One at a time: a consumer that ends gives back the one it works on, and no other.
        $this->channel->setPrefetchCount(1);
    }

    /** Null where no queue is set up. */
    public static function connect(Settings $settings): ?self
    {
        if ($settings->queueUrl === '') {
            return null;
        }
        $url = parse_url($settings->queueUrl);
        if (!is_array($url) || !isset($url['host'], $url['path'])) {
            throw new \RuntimeException('ORO_MQ_URL is no URL: amqp://USER:PASSWORD@HOST:PORT/VHOST');
        }
        $connection = new \AMQPConnection([
            'host' => $url['host'],
            'port' => $url['port'] ?? 5672,
            'vhost' => ltrim($url['path'], '/'),
            'login' => urldecode($url['user'] ?? ''),
            'password' => urldecode($url['pass'] ?? ''),
            'connect_timeout' => 3,
            // How long a consumer waits before it looks whether it is to end.
            'read_timeout' => 1,
        ]);
        $connection->connect();

        return new self($connection);
    }

    /** @param array<string, mixed> $message */
    public function send(string $queue, array $message): void
    {
        $this->queue($queue);
        (new \AMQPExchange($this->channel))->publish(
            json_encode($message, JSON_THROW_ON_ERROR),
            $queue,
            AMQP_NOPARAM,
            ['delivery_mode' => 2],
        );
    }

    /**
     * Gives message after message to `$handle` until `$isOver` says so.
     *
     * @param callable(string): void $handle
     * @param callable(): bool $isOver
     */
    public function consume(string $queue, callable $handle, callable $isOver): void
    {
        $from = $this->queue($queue);
        $from->consume(null, AMQP_NOPARAM);
        while (!$isOver()) {
            try {
                $from->consume(static function (\AMQPEnvelope $message, \AMQPQueue $from) use ($handle, $isOver): bool {
                    $handle($message->getBody());
                    $from->ack($message->getDeliveryTag());

                    return !$isOver();
                }, AMQP_JUST_CONSUME);
            } catch (\AMQPQueueException $nothing) {
                if (!str_contains($nothing->getMessage(), 'timeout')) {
                    throw $nothing;
                }
            }
        }
    }

    private function queue(string $name): \AMQPQueue
    {
        $queue = new \AMQPQueue($this->channel);
        $queue->setName($name);
        $queue->setFlags(AMQP_DURABLE);
        $queue->declareQueue();

        return $queue;
    }
}
