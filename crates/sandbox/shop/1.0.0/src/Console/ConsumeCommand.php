<?php

declare(strict_types=1);

namespace Acme\Shop\Console;

use Acme\Shop\MessageQueue;
use Symfony\Component\Console\Input\InputArgument;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Output\OutputInterface;

final class ConsumeCommand extends ShopCommand
{
    use Lasting;

    protected static $defaultName = 'oro:message-queue:consume';
    protected static $defaultDescription = 'Takes messages from a queue until it is told to end';

    protected function configure(): void
    {
        $this->addArgument('queue', InputArgument::OPTIONAL, 'The queue', 'oro.default');
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        $this->endOnSignal();
        $name = $input->getArgument('queue');
        $queue = MessageQueue::connect($this->settings) ?? throw new \RuntimeException('ORO_MQ_URL is missing');
        $database = $this->database();
        $insert = $database->prepare('insert into message (queue, body, node, version) values (?, ?, ?, ?)');
        $this->log->info('consumer', 'Consuming.', ['queue' => $name, 'node' => $this->settings->node]);
        $queue->consume(
            $name,
            function (string $body) use ($insert, $name): void {
                $insert->execute([$name, $body, $this->settings->node, $this->settings->version]);
                $this->log->info('consumer', 'Message done.', ['queue' => $name, 'node' => $this->settings->node]);
            },
            fn (): bool => $this->isOver(),
        );

        return self::SUCCESS;
    }
}
