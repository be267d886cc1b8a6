<?php

declare(strict_types=1);

namespace Acme\Shop\Console;

use Acme\Shop\SampleData;
use Acme\Shop\Schema\Migrator;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Input\InputOption;
use Symfony\Component\Console\Output\OutputInterface;

final class InstallCommand extends ShopCommand
{
    protected static $defaultName = 'oro:install';
    protected static $defaultDescription = 'Installs the shop: schema, administrator and sample data';

    protected function configure(): void
    {
        $this
            ->addOption('user-name', null, InputOption::VALUE_REQUIRED, 'Name of the administrator', 'admin')
            ->addOption('user-email', null, InputOption::VALUE_REQUIRED, 'Email of the administrator', 'admin@example.com')
            ->addOption('user-password', null, InputOption::VALUE_REQUIRED, 'Only "-": read a line from standard input')
            ->addOption('application-url', null, InputOption::VALUE_REQUIRED, 'URL of the shop', 'http://localhost')
            ->addOption('sample-data', null, InputOption::VALUE_REQUIRED, 'Load sample products and orders: y or n', 'y')
            ->addOption('timeout', null, InputOption::VALUE_REQUIRED, 'Seconds one part may take', '300')
            ->setHelp(
                'The password is read from ORO_USER_PASSWORD, else from standard input. It is never an argument: '
                . 'arguments are visible to everybody on the host.',
            );
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        $database = $this->database();
        $migrator = new Migrator($database);
        if ($migrator->isInstalled()) {
            $output->writeln('<error>The application is already installed, at schema version '
                . $migrator->currentVersion() . '.</error>');

            return self::FAILURE;
        }
        $name = (string) $input->getOption('user-name');
        $email = (string) $input->getOption('user-email');
        $password = $this->password($input->getOption('user-password'));

        $output->writeln("Installing Acme Shop {$this->settings->version}");
        $database->exec('set statement_timeout = ' . 1000 * max(1, (int) $input->getOption('timeout')));
        $migrator->migrate(
            $output->writeln(...),
            function (\PDO $database) use ($input, $output, $name, $email, $password): void {
                $output->writeln("> administrator $name <$email>", OutputInterface::OUTPUT_RAW);
                $database
                    ->prepare("insert into oro_user (username, email, password, role) values (?, ?, ?, 'ROLE_ADMINISTRATOR')")
                    ->execute([$name, $email, password_hash($password, PASSWORD_BCRYPT)]);
                $database->exec('create table oro_config (name varchar(255) primary key, value text not null)');
                $database
                    ->prepare("insert into oro_config (name, value) values ('application_url', ?)")
                    ->execute([$input->getOption('application-url')]);
                if ($input->getOption('sample-data') !== 'n') {
                    $output->writeln('> ' . SampleData::load($database));
                }
            },
        );
        $output->writeln('The application is installed.');
        $this->log->info('console', 'Application installed.', ['version' => $this->settings->version, 'user' => $name]);

        return self::SUCCESS;
    }

    private function password(?string $option): string
    {
        if ($option !== null && $option !== '-') {
            throw new \RuntimeException(
                'a password must not be an argument: give --user-password=- and the password on standard input',
            );
        }
        $password = $option === '-' ? '' : (string) getenv('ORO_USER_PASSWORD');
        if ($password === '' && !stream_isatty(STDIN)) {
            $password = rtrim((string) fgets(STDIN), "\r\n");
        }
        if ($password === '' && $option === '-') {
            throw new \RuntimeException('no password given: set ORO_USER_PASSWORD, or write it to standard input');
        }

        // Nobody knows a random one, so nobody can sign in with it before it is set.
        return $password === '' ? bin2hex(random_bytes(32)) : $password;
    }
}
