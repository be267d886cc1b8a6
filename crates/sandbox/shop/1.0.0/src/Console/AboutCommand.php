<?php

declare(strict_types=1);

namespace Acme\Shop\Console;

use Acme\Shop\Schema\Migrator;
use Symfony\Component\Console\Helper\Table;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Output\OutputInterface;

final class AboutCommand extends ShopCommand
{
    protected static $defaultName = 'about';
    protected static $defaultDescription = 'Shows what runs here';

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        $database = $this->database();
        $migrator = new Migrator($database);
        $orders = $migrator->isInstalled() ? $database->query('select count(*) from orders')->fetchColumn() : '-';
        (new Table($output))
            ->setHeaders(['Acme Shop', ''])
            ->setRows([
                ['Version', $this->settings->version],
                ['Node', $this->settings->node],
                ['PHP', PHP_VERSION],
                ['PostgreSQL', $database->query('show server_version')->fetchColumn()],
                ['Schema version', $migrator->currentVersion()],
                ['Orders', $orders],
            ])
            ->render();

        return self::SUCCESS;
    }
}
