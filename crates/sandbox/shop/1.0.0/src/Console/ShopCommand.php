<?php

declare(strict_types=1);

namespace Acme\Shop\Console;

use Acme\Shop\Database;
use Acme\Shop\Log;
use Acme\Shop\Settings;
use Symfony\Component\Console\Command\Command;

/** What every command of the shop has at hand. */
abstract class ShopCommand extends Command
{
    public function __construct(protected readonly Settings $settings, protected readonly Log $log)
    {
        parent::__construct();
    }

    protected function database(): \PDO
    {
        return Database::connect($this->settings);
    }
}
