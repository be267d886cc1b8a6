<?php

declare(strict_types=1);

namespace Acme\Shop\Console;

use Acme\Shop\Schema\Migrator;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Input\InputOption;
use Symfony\Component\Console\Output\OutputInterface;

final class PlatformUpdateCommand extends ShopCommand
{
    protected static $defaultName = 'oro:platform:update';
    protected static $defaultDescription = 'Runs the migrations that are newer than the schema';

    protected function configure(): void
    {
        $this
            ->addOption('force', null, InputOption::VALUE_NONE, 'Run them; without it they are only shown')
            ->addOption('skip-assets', null, InputOption::VALUE_NONE, 'As in OroCommerce: assets are left alone')
            ->addOption('skip-search-reindexation', null, InputOption::VALUE_NONE, 'As in OroCommerce: the search index is left alone')
            ->addOption('schedule-search-reindexation', null, InputOption::VALUE_NONE, 'As in OroCommerce: everything is indexed later')
            ->addOption('timeout', null, InputOption::VALUE_REQUIRED, 'Seconds one statement may take', '300');
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        $database = $this->database();
        $migrator = new Migrator($database);
        if (!$migrator->isInstalled()) {
            $output->writeln('<error>The application is not installed. Run "oro:install" first.</error>');

            return self::FAILURE;
        }
        $output->writeln(
            "Updating Acme Shop to {$this->settings->version}, schema version {$migrator->currentVersion()}",
        );
        $pending = $migrator->pending();
        if ($pending === []) {
            $output->writeln('The schema is up to date.');

            return self::SUCCESS;
        }
        if (!$input->getOption('force')) {
            foreach ($pending as $version => $migration) {
                $output->writeln(sprintf('> migration %d: %s', $version, $migration->description()));
                $output->writeln($migration->statements(), OutputInterface::OUTPUT_RAW);
            }
            $output->writeln('Nothing was changed. Run the command with --force to run these migrations.');

            return self::SUCCESS;
        }
        $database->exec('set statement_timeout = ' . 1000 * max(1, (int) $input->getOption('timeout')));
        $migrator->migrate($output->writeln(...));
        if ($input->getOption('schedule-search-reindexation')) {
            $output->writeln('Everything will be indexed for search.');
        }
        $output->writeln('The schema is now at version ' . $migrator->currentVersion() . '.');
        $this->log->info('console', 'Platform updated.', ['version' => $this->settings->version]);

        return self::SUCCESS;
    }
}
