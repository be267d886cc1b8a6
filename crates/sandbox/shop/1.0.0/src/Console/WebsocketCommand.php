<?php

declare(strict_types=1);

namespace Acme\Shop\Console;

use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Output\OutputInterface;

/** Stands where OroCommerce has its server of websockets: it tells everybody who connects the time, and goes on. */
final class WebsocketCommand extends ShopCommand
{
    use Lasting;

    protected static $defaultName = 'gos:websocket:server';
    protected static $defaultDescription = 'Tells who connects what happens, until it is told to end';

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        $this->endOnSignal();
        $server = stream_socket_server('tcp://' . (getenv('ORO_WEBSOCKET_BIND') ?: '127.0.0.1:8089'), $number, $error);
        if ($server === false) {
            throw new \RuntimeException("cannot listen: $error");
        }
        while (!$this->isOver()) {
            $client = @stream_socket_accept($server, 1);
            if ($client !== false) {
                fwrite($client, date('c') . "\n");
                fclose($client);
            }
        }

        return self::SUCCESS;
    }
}
